//! A chat over a Unix socket: what one member says, the others hear. The socket's file is gone when the
//! program ends.

use asupersync::RegionOptions;
use asupersync::io::BufReader;
use asupersync::net::{OwnedReadHalf, UnixAddr, UnixListener, UnixStream};
use asupersync::os::fs::TempDir;
use asupersync::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where to send what the others say. A member that does not listen loses lines, and holds nobody up.
type Members = Arc<Mutex<Vec<mpsc::Sender<String>>>>;

async fn member(cx: &Cx, stream: UnixStream, members: Members) -> Result<(), Error> {
    let (reader, mut writer) = stream.into_split();
    let (tx, mut rx) = mpsc::channel::<String>(64);
    members.lock().unwrap().push(tx.clone());
    let telling = cx.spawn(async move |cx: &Cx| {
        while let Ok(line) = rx.recv(cx).await {
            writer.write_all(cx, line.as_bytes()).await?;
        }
        Ok::<_, Error>(())
    });
    let left = pass_on(cx, reader, &members, &tx).await;
    // However it left: with a farewell, or because its connection broke.
    members.lock().unwrap().retain(|other| !other.same_channel(&tx));
    telling.cancel(CancelReason::user("the member has left"));
    left
}

/// Tells the others what a member says, until it says no more.
async fn pass_on(
    cx: &Cx,
    reader: OwnedReadHalf<UnixStream>,
    members: &Members,
    speaker: &mpsc::Sender<String>,
) -> Result<(), Error> {
    let mut lines = BufReader::new(reader).lines(1000);
    while let Some(line) = lines.next_line(cx).await? {
        let others = members.lock().unwrap().clone();
        for other in others.iter().filter(|other| !other.same_channel(speaker)) {
            let _ = other.try_send(format!("{line}\n"));
        }
    }
    Ok(())
}

async fn serve(cx: &Cx, listener: UnixListener) -> Result<(), Error> {
    let members = Members::default();
    // A member whose connection breaks is no reason for the others to leave.
    let options = RegionOptions::new().name("members").policy(Policy::CollectAll);
    let outcome = cx.region_with(options, async |scope| {
        loop {
            let stream = listener.accept(cx).await?;
            let members = members.clone();
            drop(scope.spawn(async move |cx: &Cx| member(cx, stream, members).await));
        }
    });
    Ok(outcome.await.into_result()?)
}

/// Says hello until it has heard two others, and then once more: they may have come after the last time.
async fn visit(cx: &Cx, room: &UnixAddr, name: &str) -> Result<(), Error> {
    let (reader, mut writer) = UnixStream::connect(cx, room).await?.into_split();
    let mut lines = BufReader::new(reader).lines(1000);
    let mut heard = Vec::new();
    loop {
        writer.write_all(cx, format!("hello from {name}\n").as_bytes()).await?;
        if heard.len() == 2 {
            break;
        }
        let wait = Duration::from_millis(20);
        if let Ok(line) = timeout(cx, wait, lines.next_line(cx)).await {
            heard.extend(line?.filter(|line| !heard.contains(line)));
        }
        cx.checkpoint()?;
    }
    heard.sort();
    println!("{name} heard: {}", heard.join(", "));
    Ok(())
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let folder = TempDir::new(cx).await?;
    let room = UnixAddr::from(folder.path().join("room"));
    let listener = UnixListener::bind(cx, &room).await?;
    let mut serving = cx.spawn(async move |cx: &Cx| serve(cx, listener).await);
    try_join_all(cx, ["ann", "bob", "cyd"].map(|name| visit(cx, &room, name))).await?;
    serving.cancel(CancelReason::user("everybody has left"));
    let _ = serving.join(cx).await?;
    folder.close(cx).await?;
    println!("the room is closed");
    Ok(())
}
