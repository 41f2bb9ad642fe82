//! Secrets for a protocol analyser.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Where the secrets of connections are written, for tools such as Wireshark. Off unless asked for.
///
/// Whoever reads them reads the connections: for debugging only.
#[derive(Clone, Default)]
pub struct KeyLog(Sink);

#[derive(Clone, Default)]
enum Sink {
    #[default]
    Off,
    Environment,
    Lines(Arc<dyn Fn(&str) + Send + Sync>),
}

impl KeyLog {
    /// Nowhere.
    #[must_use]
    pub const fn off() -> KeyLog {
        KeyLog(Sink::Off)
    }

    /// To the file that `SSLKEYLOGFILE` names when the builder builds; nowhere if it names none. Each
    /// handshake appends to it, on its own thread.
    #[must_use]
    pub const fn environment() -> KeyLog {
        KeyLog(Sink::Environment)
    }

    /// To a function, one line of the [NSS key log format](https://www.rfc-editor.org/rfc/rfc9850) at
    /// a time, without the line's end. It is called during handshakes and must not block.
    #[must_use]
    pub fn lines(line: impl Fn(&str) + Send + Sync + 'static) -> KeyLog {
        KeyLog(Sink::Lines(Arc::new(line)))
    }

    pub(crate) fn build(&self) -> Arc<dyn rustls::KeyLog> {
        match &self.0 {
            Sink::Off => Arc::new(rustls::NoKeyLog),
            Sink::Environment => Arc::new(rustls::KeyLogFile::new()),
            Sink::Lines(line) => Arc::new(Lines(line.clone())),
        }
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Sink::Off => "KeyLog::off",
            Sink::Environment => "KeyLog::environment",
            Sink::Lines(_) => "KeyLog::lines",
        })
    }
}

struct Lines(Arc<dyn Fn(&str) + Send + Sync>);

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line =
            String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 2);
        line.push_str(label);
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                let _ = write!(line, "{byte:02x}");
            }
        }
        (self.0)(&line);
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}
