//! Real peers: `socat` at the other end.

#[path = "support/peers.rs"]
mod peers;
#[path = "support/port.rs"]
mod port;

use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{TcpListener, TcpStream, UdpSocket, UnixAddr, UnixListener, UnixStream};
use asupersync_os::process::{Child, Command, Stdio};
use asupersync_runtime::RuntimeBuilder;
use peers::installed;
use std::io;
use std::time::Duration;

/// Runs a body that needs `socat`.
fn beside_socat<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    if !installed("socat") {
        return;
    }
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(body);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

async fn socat(cx: &Cx, from: &str, to: &str) -> io::Result<Child> {
    Command::new("socat").arg(from).arg(to).stdin(Stdio::null()).spawn(cx).await
}

/// Tries again until the peer listens.
macro_rules! soon {
    ($cx:ident, $attempt:expr) => {{
        let mut tries = 0;
        loop {
            match $attempt.await {
                Err(_) if tries < 200 => {
                    tries += 1;
                    $cx.sleep(Duration::from_millis(20)).await?;
                }
                answer => break answer,
            }
        }
    }};
}

const LENGTH: usize = 1 << 20;

#[test]
fn socat_echoes_a_mebibyte_over_tcp() {
    beside_socat(async |cx: &Cx| {
        let port = TcpListener::bind(cx, "127.0.0.1:0").await?.local_addr()?.port();
        let _socat =
            socat(cx, &format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"), "PIPE").await?;
        let connected = soon!(cx, TcpStream::connect(cx, ([127, 0, 0, 1], port)));
        let (mut reader, mut writer) = connected?.into_split();
        let mut writing = cx.spawn(async move |cx: &Cx| {
            writer.write_all(cx, &vec![7; LENGTH]).await?;
            writer.close(cx).await?;
            Ok::<_, Error>(())
        });
        let mut answer = Vec::new();
        reader.read_to_end(cx, &mut answer, LENGTH).await?;
        assert_eq!(answer, vec![7; LENGTH]);
        writing.join(cx).await?.into_result()?;
        Ok(())
    });
}

#[test]
fn socat_connects_to_our_unix_socket_and_we_to_its() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    beside_socat(async move |cx: &Cx| {
        let listener = UnixListener::bind(cx, &ours).await?;
        let call = format!("UNIX-CONNECT:{}", ours.display());
        let _caller = socat(cx, "SYSTEM:echo hello from socat", &call).await?;
        let mut stream = listener.accept(cx).await?;
        let mut text = String::new();
        stream.read_to_string(cx, &mut text, 100).await?;
        assert_eq!(text, "hello from socat\n");

        let at = UnixAddr::from(&theirs);
        let _server = socat(cx, &format!("UNIX-LISTEN:{}", theirs.display()), "PIPE").await?;
        let mut stream = soon!(cx, UnixStream::connect(cx, &at))?;
        stream.write_all(cx, b"echo me").await?;
        stream.close(cx).await?;
        let mut answer = String::new();
        stream.read_to_string(cx, &mut answer, 100).await?;
        assert_eq!(answer, "echo me");
        Ok(())
    });
}

#[test]
fn socat_echoes_datagrams() {
    beside_socat(async |cx: &Cx| {
        let port = port::free();
        let _socat = socat(cx, &format!("UDP-RECVFROM:{port},bind=127.0.0.1,fork"), "PIPE").await?;
        let socket = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        socket.connect(([127, 0, 0, 1], port))?;
        for number in 0..10u32 {
            let mut buf = [0; 16];
            let question = number.to_be_bytes();
            let mut answered = false;
            // Until it listens, the system answers that nobody does.
            for _ in 0..200 {
                let _ = socket.send(cx, &question).await;
                let wait = Duration::from_millis(100);
                let answer = asupersync_combinator::timeout(cx, wait, socket.recv(cx, &mut buf));
                match answer.await {
                    Ok(Ok(n)) if buf[..n] == question => {
                        answered = true;
                        break;
                    }
                    Ok(Err(_)) => cx.sleep(Duration::from_millis(20)).await?,
                    _ => cx.checkpoint()?,
                }
            }
            assert!(answered, "datagram {number}");
        }
        Ok(())
    });
}
