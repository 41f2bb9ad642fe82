//! Descriptors of the process: none leaks, and running out of them is survived. A file of its own,
//! because they are the whole process's; one test, because they are counted.

#[path = "support/interrupt.rs"]
mod interrupt;

use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::AsyncReadExt;
use asupersync_net::{TcpListener, TcpStream};
use asupersync_runtime::RuntimeBuilder;
use interrupt::{cancelled, descriptors};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

#[test]
fn cancelled_operations_leak_no_descriptor_and_accept_outlives_having_none() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let baseline = descriptors().len();
        for _ in 0..1000 {
            cancelled(cx, TcpStream::connect(cx, address)).await;
            cancelled(cx, listener.accept(cx)).await;
        }
        // What the cancelled connections left in the queue.
        let mut left = TcpStream::connect(cx, address).await?;
        let mine = left.local_addr()?;
        while listener.accept(cx).await?.1 != mine {}
        assert_eq!(left.read(cx, &mut [0; 1]).await?, 0);
        drop(left);
        assert_eq!(descriptors().len(), baseline);

        let waiting = TcpStream::connect(cx, address).await?;
        let limit = getrlimit(Resource::Nofile);
        // No descriptor above those that are open, and all up to the highest taken.
        let highest = *descriptors().iter().max().unwrap();
        let mut fill = Vec::new();
        let none = Rlimit { current: Some(highest), maximum: limit.maximum };
        setrlimit(Resource::Nofile, none).map_err(std::io::Error::from)?;
        while let Ok(file) = std::fs::File::open("/dev/null") {
            fill.push(file);
        }
        let before = cx.now();
        let mut restoring = cx.spawn(async move |cx: &Cx| {
            cx.sleep(Duration::from_millis(60)).await?;
            setrlimit(Resource::Nofile, limit).map_err(std::io::Error::from)?;
            Ok::<_, Error>(())
        });
        let (_, peer) = listener.accept(cx).await?;
        assert!(
            cx.now() - before >= Duration::from_millis(50),
            "there was no descriptor to accept with"
        );
        assert_eq!(peer, waiting.local_addr()?);
        restoring.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}
