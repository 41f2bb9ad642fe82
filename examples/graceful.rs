//! The life of a service: ready; a signal; not ready, but finishing what it has; cancelled when that takes
//! too long; a report; an exit code. Ctrl-C once drains, twice does not wait.

use asupersync::io::BufReader;
use asupersync::net::{TcpListener, TcpStream};
use asupersync::os::{Drain, Shutdown};
use asupersync::prelude::*;
use asupersync::runtime::Runtime;
use asupersync::{Closed, RegionOptions};
use std::process::ExitCode;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

/// Answers `ready` with whether it takes on work, and anything else after a while.
async fn answer(cx: &Cx, stream: TcpStream, drain: Drain) -> Result<(), Error> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines(1000);
    while let Some(line) = lines.next_line(cx).await? {
        let answer = match line.as_str() {
            "ready" if drain.is_asked() => "no\n",
            "ready" => "yes\n",
            _ => {
                cx.sleep(Duration::from_millis(300)).await?;
                "done\n"
            }
        };
        writer.write_all(cx, answer.as_bytes()).await?;
    }
    Ok(())
}

async fn serve(cx: &Cx, listener: TcpListener, drain: Drain) -> Closed<(), Error> {
    let options = RegionOptions::new().name("connections").policy(Policy::CollectAll);
    cx.region_reported(options, async |scope| {
        loop {
            let accept = async { Ok::<_, Error>(Some(listener.accept(cx).await?)) };
            let asked = async { drain.asked(cx).await.map(|()| None).map_err(Error::from) };
            let Some((stream, peer)) = race(cx, (accept, asked)).await?? else {
                return Ok(()); // what is open goes on: the region waits for it
            };
            let drain = drain.clone();
            let serving = async move |cx: &Cx| answer(cx, stream, drain).await;
            drop(scope.spawn_named(format!("client {peer}"), serving));
        }
    })
    .await
}

async fn program(cx: &Cx) -> Result<u8, Error> {
    let shutdown = Shutdown::on_signals(cx, GRACE)?;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("serving on {address}; Ctrl-C drains, a second one does not wait");

    // A client in the middle of something when the signal comes.
    let mut client = cx.spawn(async move |cx: &Cx| {
        let (reader, mut writer) = TcpStream::connect(cx, address).await?.into_split();
        let mut lines = BufReader::new(reader).lines(1000);
        let (mut asked, mut answered) = (0, 0);
        loop {
            asked += 2;
            writer.write_all(cx, b"work\nready\n").await?;
            let (done, ready) = (lines.next_line(cx).await?, lines.next_line(cx).await?);
            answered += u32::from(done.is_some()) + u32::from(ready.is_some());
            if ready.as_deref() != Some("yes") {
                return Ok::<_, Error>((asked, answered));
            }
        }
    });

    let drain = shutdown.drain();
    let ended = shutdown.run(cx, serve(cx, listener, drain)).await;
    let code = ended.exit_code();
    if let Some(signal) = ended.signal {
        println!("{signal}; drained: {}", !ended.cancelled);
    }
    if let Some(closed) = ended.value {
        println!("{} connections served", closed.report.ended);
        for straggler in &closed.report.stragglers {
            println!("did not end in time: {straggler}");
        }
    }
    let (asked, answered) = client.join(cx).await?.into_result()?;
    println!("the client lost nothing: {}", asked == answered);
    Ok(code)
}

fn main() -> ExitCode {
    let runtime = match Runtime::multi_thread() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(program) {
        Outcome::Ok(code) => ExitCode::from(code),
        failed => {
            eprintln!("{failed:?}");
            ExitCode::FAILURE
        }
    }
}
