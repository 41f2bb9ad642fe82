//! Runs a program, shows each line as it comes, and stops the program, with all that it started, when its
//! time is over.

use asupersync::io::BufReader;
use asupersync::os::process::{Command, ExitStatus, Stdio};
use asupersync::prelude::*;
use std::time::Duration;

async fn stream(cx: &Cx, script: &str, limit: Duration) -> Result<Option<ExitStatus>, Error> {
    let command = Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped());
    let mut child = command.spawn(cx).await?;
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines(1 << 16);
    let ended = timeout(cx, limit, async {
        while let Some(line) = lines.next_line(cx).await? {
            println!("  {line}");
        }
        Ok::<_, Error>(child.wait(cx).await?)
    });
    match ended.await {
        Ok(status) => Ok(Some(status?)),
        // Dropped, the child is killed; the region would not close before it is gone.
        Err(_) => cx.checkpoint().map(|()| None).map_err(Error::from),
    }
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let second = Duration::from_secs(1);
    let counts = "for i in 1 2 3; do echo line $i; /bin/sleep 0.05; done";
    println!("a program that ends:");
    let ended = stream(cx, counts, 10 * second).await?;
    println!("{}", ended.map_or("stopped".to_owned(), |status| status.to_string()));
    println!("a program that does not:");
    let ended = stream(cx, "echo working; /bin/sleep 1000 & /bin/sleep 1000", second / 4).await?;
    println!("{}", ended.map_or("stopped".to_owned(), |status| status.to_string()));
    Ok(())
}
