//! Act 1: real sockets, real threads, real file content.

use crate::readable;
use crate::service::{Ledger, Tally, client, serve};
use asupersync::net::{ListenOptions, TcpListener};
use asupersync::os::raise_descriptor_limit;
use asupersync::prelude::*;
use asupersync::runtime::Runtime;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CLIENTS: u64 = 1_000;
/// Descriptors that are neither end of a client's connection.
const OTHERS: u64 = 100;
const GRACE: Duration = Duration::from_secs(5);

/// The repository's own sources, one after the other.
fn content() -> Result<Vec<u8>, String> {
    fn gather(folder: &Path, into: &mut Vec<u8>) -> std::io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                gather(&path, into)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.extend(fs::read(&path)?);
            }
        }
        Ok(())
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    gather(&root.join("../crates/core/src"), &mut bytes)
        .and_then(|()| gather(root, &mut bytes))
        .map_err(|error| format!("reading the repository's files: {error}"))?;
    Ok(bytes)
}

pub(crate) fn run() -> Result<(), String> {
    let content = Arc::new(content()?);
    let limit = raise_descriptor_limit().map_err(|error| error.to_string())?;
    let clients = CLIENTS.min(limit.saturating_sub(OTHERS) / 2);
    if clients < CLIENTS {
        println!(
            "   this system allows {limit} open files: {clients} clients instead of {CLIENTS}"
        );
    }
    let runtime = Runtime::multi_thread().map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async move |cx: &Cx| act(cx, clients as u32, content).await);
    match outcome {
        Outcome::Ok(()) => Ok(()),
        Outcome::Err(error) => Err(error.to_string()),
        Outcome::Cancelled(reason) => Err(format!("cancelled: {reason}")),
        Outcome::Panicked(payload) => Err(format!("panicked: {}", payload.message())),
    }
}

async fn act(cx: &Cx, clients: u32, content: Arc<Vec<u8>>) -> Result<(), Error> {
    let ledger = Arc::new(Ledger::default());
    let options = ListenOptions::new().backlog(clients as usize);
    let listener = TcpListener::bind_with(cx, "127.0.0.1:0", &options).await?;
    let server = listener.local_addr()?;
    let books = Arc::clone(&ledger);
    let (closed, tallies, tree, late) = cx
        .region(async |scope| {
            let serving = Arc::clone(&ledger);
            let mut service = scope
                .spawn_named("service", async move |cx| Ok(serve(cx, listener, serving).await));
            let clients: Vec<_> = (0..clients)
                .map(|id| {
                    let content = Arc::clone(&content);
                    scope.spawn(async move |cx| client(cx, server, id, &content, u32::MAX).await)
                })
                .collect();

            // In mid-flight: everybody is connected and has been answered about ten times.
            while ledger.open() < clients.len() as u64
                || ledger.written() < 10 * clients.len() as u64
            {
                cx.sleep(Duration::from_millis(1)).await?;
            }
            let tree = scope.snapshot().to_string();
            ledger.note_cancellation(cx.now());
            service.cancel(CancelReason::user("the tour goes on").with_cleanup(GRACE));
            let closed = service.join(cx).await?.into_result()?;

            // The region has closed: from here on nothing of the service may move.
            let (written, open) = (ledger.written(), ledger.open());
            cx.sleep(Duration::from_millis(50)).await?;
            let late = ledger.written() - written + ledger.open() + open;

            let mut tallies: Vec<Tally> = Vec::new();
            for mut client in clients {
                tallies.push(client.join(cx).await?.into_result()?);
            }
            Ok::<_, Error>((closed, tallies, tree, late))
        })
        .await
        .into_result()?;

    // The head of each region's list says enough.
    let lines: Vec<&str> = tree.lines().collect();
    let heads = (0..lines.len())
        .filter(|n| lines[n.saturating_sub(2)..=*n].iter().any(|l| l.contains("region ")));
    for head in heads {
        println!("   {}", lines[head]);
    }
    println!("   … {} lines in all, one for each task and region", lines.len());

    let sent: u64 = tallies.iter().map(|tally| tally.sent).sum();
    let acknowledged: usize = tallies.iter().map(|tally| tally.acknowledged.len()).sum();
    let missing: usize = tallies.iter().map(|tally| books.missing(tally)).sum();
    println!("   clients: {} sent {sent} messages and got {acknowledged} answers", tallies.len());
    println!("   service: wrote down {}, then its region closed", books.written());
    println!("   answered but not written down: {missing}; moved after the close: {late}");
    let drains = books.drains();
    let at = |share: usize| drains.get((drains.len() * share / 100).min(drains.len() - 1)).copied();
    if let (Some(p50), Some(p99), Some(max)) = (at(50), at(99), drains.last()) {
        println!(
            "   from the cancellation to a connection's end: p50 {}, p99 {}, longest {}",
            readable(p50),
            readable(p99),
            readable(*max)
        );
    }
    for straggler in &closed.report.stragglers {
        println!("   did not end within {}: {straggler}", readable(GRACE));
    }
    if missing > 0 || late > 0 || !closed.report.stragglers.is_empty() || drains.is_empty() {
        return Err(Error::msg("the books do not agree"));
    }
    Ok(())
}
