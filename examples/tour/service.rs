//! The service and its client, written once: they do not know on which host they run.
//!
//! A client sends messages, each with its number; the service writes each into its ledger and then
//! acknowledges it. What is acknowledged is in the ledger, whatever is cancelled or reset when.

use asupersync::io::{Framed, LengthDelimited};
use asupersync::net::{TcpListener, TcpStream};
use asupersync::prelude::*;
use asupersync::{Closed, DetHashMap, RegionOptions};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest message, its header included: what the service lets a peer make it hold.
const LONGEST: usize = 16 * 1024;

/// Who sent a message, and which of theirs it was.
pub(crate) type Name = (u32, u32);

/// The service's books.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: Mutex<DetHashMap<Name, u64>>,
    acknowledged: AtomicU64,
    open: AtomicU64,
    /// How long after the cancellation each connection ended.
    drains: Mutex<Vec<Duration>>,
    cancelled_at: Mutex<Option<Time>>,
}

impl Ledger {
    fn enter(&self, name: Name, digest: u64) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(name, digest);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// How many messages were written down.
    pub(crate) fn written(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many connections are being served.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn note_cancellation(&self, at: Time) {
        *self.cancelled_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// The sorted times that the connections took to end after the cancellation.
    pub(crate) fn drains(&self) -> Vec<Duration> {
        let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner).clone();
        drains.sort_unstable();
        drains
    }

    /// How many of these acknowledgements have no equal entry here: 0, or the promise is broken.
    pub(crate) fn missing(&self, tally: &Tally) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        tally.acknowledged.iter().filter(|(name, digest)| entries.get(name) != Some(digest)).count()
    }
}

/// FNV-1a, 64 bits: enough to tell one message from another.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Serves until cancelled; then returns when the last connection has ended.
pub(crate) async fn serve(
    cx: &Cx,
    listener: TcpListener,
    ledger: Arc<Ledger>,
) -> Closed<(), Error> {
    // One client's trouble is no reason to stop serving the others.
    let options = RegionOptions::new().name("service").policy(Policy::CollectAll);
    cx.region_reported(options, async |scope| {
        loop {
            let (stream, peer) = listener.accept(cx).await?;
            let ledger = Arc::clone(&ledger);
            drop(scope.spawn_named(format!("connection {peer}"), async move |cx| {
                ledger.open.fetch_add(1, Ordering::Relaxed);
                let ended = connection(cx, stream, &ledger).await;
                ledger.open.fetch_sub(1, Ordering::Relaxed);
                let cancelled_at =
                    *ledger.cancelled_at.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(at) = cancelled_at {
                    let drained = cx.now().saturating_since(at);
                    ledger.drains.lock().unwrap_or_else(PoisonError::into_inner).push(drained);
                }
                ended
            }));
        }
    })
    .await
}

type Frames = Framed<TcpStream, LengthDelimited>;

async fn connection(cx: &Cx, stream: TcpStream, ledger: &Ledger) -> Result<(), Error> {
    let mut frames = Framed::new(stream, LengthDelimited::new(LONGEST));
    let ended = loop {
        match frames.next(cx).await {
            // From here on the message is ours: it is written down *and* acknowledged, cancelled or not.
            Ok(Some(message)) => {
                if let Err(error) = cx.masked(accept(cx, &mut frames, ledger, message)).await {
                    break Err(error);
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    // Say goodbye, unless the peer is already gone.
    let _ = cx.masked(frames.close(cx)).await;
    ended
}

async fn accept(
    cx: &Cx,
    frames: &mut Frames,
    ledger: &Ledger,
    mut message: Bytes,
) -> Result<(), Error> {
    let (Ok(client), Ok(number)) = (message.try_get_u32(), message.try_get_u32()) else {
        return Err(Error::msg("a message without a name"));
    };
    let digest = digest(&message);
    ledger.enter((client, number), digest);
    let mut answer = BytesMut::with_capacity(16);
    answer.put_u32(client);
    answer.put_u32(number);
    answer.put_u64(digest);
    Ok(frames.send(cx, answer).await?)
}

/// A client's books.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) acknowledged: Vec<(Name, u64)>,
    /// The connection broke: a reset, or a refusal.
    pub(crate) broken: bool,
}

/// Sends pieces of `content`, one after the other, each acknowledged before the next, until `most` are
/// sent or the service ends the conversation.
pub(crate) async fn client(
    cx: &Cx,
    server: SocketAddr,
    id: u32,
    content: &[u8],
    most: u32,
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let mut talk = async || -> Result<(), Error> {
        let stream = TcpStream::connect(cx, server).await?;
        stream.set_nodelay(true)?;
        let mut frames = Framed::new(stream, LengthDelimited::new(LONGEST));
        let pieces = content.chunks(2048).cycle().skip(id as usize);
        for (number, piece) in (0..most).zip(pieces) {
            let mut message = BytesMut::with_capacity(8 + piece.len());
            message.put_u32(id);
            message.put_u32(number);
            message.put_slice(piece);
            frames.send(cx, message).await?;
            tally.sent += 1;
            let Some(mut answer) = frames.next(cx).await? else { return Ok(()) };
            let (name, echoed) = ((answer.get_u32(), answer.get_u32()), answer.get_u64());
            if name != (id, number) || echoed != digest(piece) {
                return Err(Error::msg("an answer to something else"));
            }
            tally.acknowledged.push((name, echoed));
        }
        Ok(frames.close(cx).await?)
    };
    match talk().await {
        Ok(()) => {}
        Err(error) if error.kind() == asupersync::ErrorKind::Io => tally.broken = true,
        Err(error) => return Err(error),
    }
    Ok(tally)
}
