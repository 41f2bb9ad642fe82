//! Files in memory and raised signals.

use crate::probe::{Entry, MS, operation};
use asupersync_core::{Cx, Error};
use asupersync_os::fs::{self, File, OpenOptions, ReadDir, TempDir, TempFile};
use asupersync_os::{Shutdown, Signal, Signals, VirtualSignals, ctrl_c};
use std::io::{self, SeekFrom};
use std::time::Duration;

const PATH: &str = "/tmp/file";
const OTHER: &str = "/tmp/other";
const DIR: &str = "/tmp/dir";
const TEXT: &[u8] = b"0123456789";

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    opening(&mut list);
    positions(&mut list);
    changing(&mut list);
    names(&mut list);
    temporary(&mut list);
    signals(&mut list);
    list
}

async fn open(cx: &Cx) -> Result<File, Error> {
    fs::write(cx, PATH, TEXT).await?;
    Ok(File::open_with(cx, PATH, OpenOptions::new().read(true).write(true)).await?)
}

/// What was answered was done; what answered `Cancelled` was not; what was dropped may have been.
fn judge<T>(answer: &Option<io::Result<T>>, done: bool) {
    match answer {
        Some(Ok(_)) => assert!(done, "answered, and not done"),
        Some(Err(error)) => assert!(!done, "{error}, and done all the same"),
        None => {}
    }
}

fn opening(list: &mut Vec<Entry>) {
    macro_rules! opens {
        ($name:literal, |$cx:ident| $open:expr) => {
            operation!(list, $name, "of a file that is there", 2, |cx, case| {
                fs::write(cx, PATH, TEXT).await?;
                let opened = {
                    let $cx = cx;
                    case.subject(cx, $open).await
                };
                assert!(case.struck() || matches!(opened, Some(Ok(_))));
                drop(opened);
                assert_eq!(fs::read(cx, PATH, 100).await?, TEXT);
            });
        };
    }
    opens!("os::fs::file::File::open", |cx| File::open(cx, PATH));
    opens!("os::fs::file::File::open_with", |cx| {
        File::open_with(cx, PATH, OpenOptions::new().append(true))
    });
    opens!("os::fs::read_dir::ReadDir::open", |cx| ReadDir::open(cx, "/tmp"));
    operation!(list, "os::fs::file::File::create", "in place of another", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        let created = case.subject(cx, File::create(cx, PATH)).await;
        judge(&created, fs::metadata(cx, PATH).await?.len == 0);
    });
    operation!(list, "os::fs::read_dir::ReadDir::next", "of three files", 2, |cx, case| {
        fs::create_dir(cx, DIR).await?;
        for name in ["a", "b", "c"] {
            fs::write(cx, format!("{DIR}/{name}"), name).await?;
        }
        let mut entries = ReadDir::open(cx, DIR).await?;
        let mut names = Vec::new();
        if let Some(Ok(Some(entry))) = case.subject(cx, entries.next(cx)).await {
            names.push(entry.file_name().to_owned());
        }
        while let Some(entry) = entries.next(cx).await? {
            names.push(entry.file_name().to_owned());
        }
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
    });
}

fn positions(list: &mut Vec<Entry>) {
    /// Reads from the third byte on; interrupted, it has not moved.
    macro_rules! reads {
        ($name:literal, |$file:ident, $cx:ident| $read:expr, $after:literal) => {
            operation!(list, $name, "of a small file", 2, |cx, case| {
                let mut file = open(cx).await?;
                file.seek(cx, SeekFrom::Start(2)).await?;
                let read: Option<io::Result<Vec<u8>>> = {
                    let ($file, $cx) = (&mut file, cx);
                    case.subject(cx, async { Ok($read) }).await
                };
                match &read {
                    Some(Ok(bytes)) => {
                        assert_eq!(
                            (bytes[..3].to_vec(), file.position()),
                            (b"234".to_vec(), $after)
                        );
                    }
                    _ => assert!(case.struck() && file.position() == 2),
                }
                let mut rest = Vec::new();
                file.read_to_end(cx, &mut rest, 100).await?;
                assert!(TEXT.ends_with(&rest));
            });
        };
    }
    reads!(
        "os::fs::file::File::read",
        |file, cx| {
            let mut buf = [0; 3];
            let n = file.read(cx, &mut buf).await?;
            buf[..n].to_vec()
        },
        5
    );
    reads!(
        "os::fs::file::File::read_at",
        |file, cx| {
            let mut buf = [0; 3];
            let n = file.read_at(cx, &mut buf, 2).await?;
            buf[..n].to_vec()
        },
        2
    );
    reads!(
        "os::fs::file::File::metadata",
        |file, cx| {
            assert_eq!(file.metadata(cx).await?.len, 10);
            b"234".to_vec()
        },
        2
    );
    operation!(list, "os::fs::file::File::read_to_end", "of a small file", 2, |cx, case| {
        let mut file = open(cx).await?;
        let mut all = Vec::new();
        let _ = case.subject(cx, file.read_to_end(cx, &mut all, 100)).await;
        assert_eq!(all.len() as u64, file.position(), "what was read is kept");
        file.read_to_end(cx, &mut all, 100).await?;
        assert_eq!(all, TEXT);
    });
    operation!(list, "os::fs::file::File::seek", "from the end", 2, |cx, case| {
        let mut file = open(cx).await?;
        let sought = case.subject(cx, file.seek(cx, SeekFrom::End(-3))).await;
        let to = if matches!(sought, Some(Ok(_))) { 7 } else { 0 };
        assert_eq!(file.position(), to);
    });
}

fn changing(list: &mut Vec<Entry>) {
    /// The file's content is what it was or what the call makes it.
    macro_rules! changes {
        ($name:literal, |$file:ident, $cx:ident| $change:expr, $made:literal) => {
            operation!(list, $name, "of a small file", 2, |cx, case| {
                let mut file = open(cx).await?;
                let changed = {
                    let ($file, $cx) = (&mut file, cx);
                    case.subject(cx, $change).await
                };
                drop(file);
                let now = fs::read(cx, PATH, 100).await?;
                assert!(now == TEXT || now == $made, "{now:?}");
                if $made != TEXT {
                    judge(&changed, now == $made);
                }
            });
        };
    }
    changes!("os::fs::file::File::write", |file, cx| file.write(cx, b"ab"), b"ab23456789");
    changes!("os::fs::file::File::write_at", |file, cx| file.write_at(cx, b"ab", 8), b"01234567ab");
    changes!("os::fs::file::File::write_all", |file, cx| file.write_all(cx, b"ab"), b"ab23456789");
    changes!("os::fs::file::File::set_len", |file, cx| file.set_len(cx, 3), b"012");
    changes!("os::fs::file::File::set_mode", |file, cx| file.set_mode(cx, 0o600), b"0123456789");
    changes!("os::fs::file::File::sync_all", |file, cx| file.sync_all(cx), b"0123456789");
    changes!("os::fs::file::File::sync_data", |file, cx| file.sync_data(cx), b"0123456789");
    operation!(list, "os::fs::replace", "of a small file", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        let replaced = case.subject(cx, fs::replace(cx, PATH, "new")).await;
        let now = fs::read(cx, PATH, 100).await?;
        assert!(now == b"new" || (case.struck() && now == TEXT), "{now:?}");
        assert!(!matches!(replaced, Some(Ok(()))) || now == b"new");
        cx.sleep(MS).await?;
        assert_eq!(left(cx).await?, 1, "no temporary file");
    });
    operation!(list, "os::fs::copy::copy", "in place of another", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        fs::write(cx, OTHER, "old").await?;
        let copied = case.subject(cx, fs::copy(cx, PATH, OTHER)).await;
        let now = fs::read(cx, OTHER, 100).await?;
        // Emptied first, then written.
        assert!(now == b"old" || now.is_empty() || now == TEXT, "{now:?}");
        assert!(case.struck() || matches!(copied, Some(Ok(10))));
        assert!(!matches!(copied, Some(Ok(_))) || now == TEXT);
        assert_eq!(fs::read(cx, PATH, 100).await?, TEXT);
    });
    operation!(list, "os::fs::write", "in place of another", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        let written = case.subject(cx, fs::write(cx, PATH, "new")).await;
        let now = fs::read(cx, PATH, 100).await?;
        // Emptied first, then written.
        assert!(now == TEXT || now.is_empty() || now == b"new", "{now:?}");
        assert!(case.struck() || matches!(written, Some(Ok(()))));
        assert!(!matches!(written, Some(Ok(()))) || now == b"new");
    });
}

fn names(list: &mut Vec<Entry>) {
    operation!(list, "os::fs::read", "of a small file", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        let read = case.subject(cx, fs::read(cx, PATH, 100)).await;
        assert!(case.struck() || matches!(read, Some(Ok(all)) if all == TEXT));
    });
    operation!(list, "os::fs::read_to_string", "of a small file", 2, |cx, case| {
        fs::write(cx, PATH, TEXT).await?;
        let read = case.subject(cx, fs::read_to_string(cx, PATH, 100)).await;
        assert!(case.struck() || matches!(read, Some(Ok(all)) if all.as_bytes() == TEXT));
    });
    /// Something is there afterwards, or is not, as the answer says.
    macro_rules! names {
        ($name:literal, |$cx:ident| $prepare:expr, $call:expr, $path:expr, $there:literal) => {
            operation!(list, $name, "in a directory", 2, |cx, case| {
                let $cx = cx;
                $prepare;
                let answer = case.subject(cx, $call).await;
                judge(&answer, fs::exists(cx, $path).await? == $there);
            });
        };
    }
    names!(
        "os::fs::rename",
        |cx| fs::write(cx, PATH, TEXT).await?,
        fs::rename(cx, PATH, OTHER),
        OTHER,
        true
    );
    names!("os::fs::create_dir", |cx| {}, fs::create_dir(cx, DIR), DIR, true);
    names!(
        "os::fs::create_dir_all",
        |cx| {},
        fs::create_dir_all(cx, "/tmp/dir/below"),
        "/tmp/dir/below",
        true
    );
    names!(
        "os::fs::remove_file",
        |cx| fs::write(cx, PATH, TEXT).await?,
        fs::remove_file(cx, PATH),
        PATH,
        false
    );
    names!(
        "os::fs::remove_dir",
        |cx| fs::create_dir(cx, DIR).await?,
        fs::remove_dir(cx, DIR),
        DIR,
        false
    );
    names!(
        "os::fs::remove_dir_all",
        |cx| fs::create_dir_all(cx, "/tmp/dir/below").await?,
        fs::remove_dir_all(cx, DIR),
        DIR,
        false
    );
    /// Changes nothing.
    macro_rules! looks {
        ($name:literal, |$cx:ident| $call:expr) => {
            operation!(list, $name, "of what is there", 2, |cx, case| {
                fs::write(cx, PATH, TEXT).await?;
                let answer = {
                    let $cx = cx;
                    case.subject(cx, $call).await
                };
                assert!(case.struck() || matches!(answer, Some(Ok(_))));
                assert_eq!(fs::read(cx, PATH, 100).await?, TEXT);
            });
        };
    }
    looks!("os::fs::exists", |cx| fs::exists(cx, PATH));
    looks!("os::fs::metadata", |cx| fs::metadata(cx, PATH));
    looks!("os::fs::symlink_metadata", |cx| fs::symlink_metadata(cx, PATH));
    looks!("os::fs::sync_dir", |cx| fs::sync_dir(cx, "/tmp"));
}

/// How many names there are in the folder for temporary files.
async fn left(cx: &Cx) -> Result<usize, Error> {
    let (mut entries, mut count) = (ReadDir::open(cx, "/tmp").await?, 0);
    while entries.next(cx).await?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn temporary(list: &mut Vec<Entry>) {
    macro_rules! makes {
        ($name:literal, |$cx:ident| $make:expr) => {
            operation!(list, $name, "in an empty folder", 2, |cx, case| {
                let made = {
                    let $cx = cx;
                    case.subject(cx, $make).await
                };
                let there = usize::from(matches!(made, Some(Ok(_))));
                assert!(case.struck() || there == 1);
                assert_eq!(left(cx).await?, there);
                drop(made);
                cx.sleep(MS).await?;
                assert_eq!(left(cx).await?, 0);
            });
        };
    }
    makes!("os::fs::temp::TempFile::new", |cx| TempFile::new(cx));
    makes!("os::fs::temp::TempFile::new_in", |cx| TempFile::new_in(cx, "/tmp"));
    makes!("os::fs::temp::TempDir::new", |cx| TempDir::new(cx));
    makes!("os::fs::temp::TempDir::new_in", |cx| TempDir::new_in(cx, "/tmp"));
    operation!(list, "os::fs::temp::TempFile::persist", "under a new name", 2, |cx, case| {
        let mut file = TempFile::new(cx).await?;
        file.file_mut().write_all(cx, TEXT).await?;
        let kept = case.subject(cx, file.persist(cx, OTHER)).await;
        let there = fs::exists(cx, OTHER).await?;
        assert!(!matches!(kept, Some(Ok(_))) || there);
        cx.sleep(MS).await?;
        assert_eq!(left(cx).await?, usize::from(there), "under its new name or gone");
    });
    operation!(list, "os::fs::temp::TempDir::close", "with a file in it", 2, |cx, case| {
        let folder = TempDir::new(cx).await?;
        fs::write(cx, folder.path().join("file"), TEXT).await?;
        let _ = case.subject(cx, folder.close(cx)).await;
        cx.sleep(MS).await?;
        assert_eq!(left(cx).await?, 0);
    });
}

fn signals(list: &mut Vec<Entry>) {
    fn raise_later(cx: &Cx, signal: Signal) {
        let signals = cx.service::<VirtualSignals>().expect("the lab has them");
        drop(cx.spawn(async move |cx: &Cx| {
            cx.sleep(MS).await?;
            signals.raise(signal);
            Ok::<_, Error>(())
        }));
    }
    operation!(list, "os::signal::Signals::recv", "raised later", 1, |cx, case| {
        let mut watched = Signals::new(cx, [Signal::USER_1])?;
        raise_later(cx, Signal::USER_1);
        let received = match case.subject(cx, watched.recv(cx)).await {
            Some(Ok(signal)) => signal,
            // Interrupted, it has taken none.
            _ => watched.recv(cx).await?,
        };
        assert_eq!(received, Signal::USER_1);
    });
    operation!(list, "os::signal::ctrl_c", "raised later", 1, |cx, case| {
        raise_later(cx, Signal::INTERRUPT);
        let answer = case.subject(cx, ctrl_c(cx)).await;
        assert!(case.struck() || matches!(answer, Some(Ok(()))));
    });
    operation!(list, "os::shutdown::Shutdown::run", "drained by a signal", 2, |cx, case| {
        let shutdown = Shutdown::on_signals(cx, Duration::from_secs(1))?;
        let drain = shutdown.drain();
        raise_later(cx, Signal::TERMINATE);
        let program = async { drain.asked(cx).await.is_ok() };
        let ended = case.subject(cx, shutdown.run(cx, program)).await;
        assert!(case.struck() || ended.is_some_and(|ended| ended.value == Some(true)));
    });
    operation!(list, "os::shutdown::Drain::asked", "by a signal", 1, |cx, case| {
        let shutdown = Shutdown::on_signals(cx, Duration::from_secs(1))?;
        let drain = shutdown.drain();
        raise_later(cx, Signal::TERMINATE);
        let program = async {
            let asked = case.subject(cx, drain.asked(cx)).await;
            assert!(case.struck() || matches!(asked, Some(Ok(()))));
            drain.asked(cx).await.is_ok()
        };
        let ended = shutdown.run(cx, program).await;
        assert_eq!(ended.value, Some(true));
    });
}
