//! Foreign descriptors.

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, Outcome};
use asupersync_os::AsyncFd;
use asupersync_runtime::RuntimeBuilder;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn foreign_descriptors_are_watched() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        use rustix::event::{EventfdFlags, eventfd};
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let counter = Arc::new(AsyncFd::new(cx, eventfd(0, flags).map_err(io::Error::from)?)?);
        let other = counter.clone();
        let mut adding = cx.spawn(async move |cx: &Cx| {
            for _ in 0..100 {
                let add = |fd: &_| Ok(rustix::io::write(fd, &1u64.to_ne_bytes())?);
                other.write_with(cx, add).await?;
                cx.yield_now().await?;
            }
            Ok::<_, Error>(())
        });
        let mut sum = 0;
        while sum < 100 {
            let mut bytes = [0; 8];
            counter.read_with(cx, |fd| Ok(rustix::io::read(fd, &mut bytes)?)).await?;
            sum += u64::from_ne_bytes(bytes);
        }
        adding.join(cx).await?.into_result()?;
        let file = AsyncFd::new(cx, std::fs::File::open("/proc/self/exe")?).unwrap_err();
        assert_eq!(file.kind(), io::ErrorKind::PermissionDenied);
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn a_cancelled_wait_for_a_foreign_descriptor_has_done_nothing() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        use rustix::event::{EventfdFlags, eventfd};
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let counter = AsyncFd::new(cx, eventfd(0, flags).map_err(io::Error::from)?)?;
        let add = |value: u64| move |fd: &_| Ok(rustix::io::write(fd, &value.to_ne_bytes())?);
        let most = u64::MAX - 1;
        for _ in 0..20 {
            let mut bytes = [0; 8];
            let soon = Duration::from_millis(1);
            // Nothing to read.
            let read = counter.read_with(cx, |fd| Ok(rustix::io::read(fd, &mut bytes)?));
            assert!(timeout(cx, soon, read).await.is_err());
            // No room for more.
            counter.write_with(cx, add(most)).await?;
            assert!(timeout(cx, soon, counter.write_with(cx, add(1))).await.is_err());
            counter.read_with(cx, |fd| Ok(rustix::io::read(fd, &mut bytes)?)).await?;
            assert_eq!(u64::from_ne_bytes(bytes), most);
        }
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}
