//! Files: on the machine, and in the lab with crashes and full disks.

use asupersync_core::{CancelReason, Cx, Error, Outcome, RegionOptions};
use asupersync_io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, SeekFrom, copy};
use asupersync_lab::{LabConfig, LabRuntime, LabTest};
use asupersync_os::fs::{
    self, File, FileKind, OpenOptions, ReadDir, TempDir, TempFile, VirtualFiles,
};
use asupersync_runtime::RuntimeBuilder;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

fn on_the_machine<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(body);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

/// What every file system must do, in a folder of its own.
async fn everyday(cx: &Cx, folder: PathBuf) -> Result<(), Error> {
    let path = folder.join("a/b/notes");
    let missing = fs::write(cx, &path, "x").await.unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().contains("a/b/notes"), "{missing}");
    fs::create_dir_all(cx, folder.join("a/b")).await?;
    fs::create_dir_all(cx, folder.join("a/b")).await?;
    assert!(fs::create_dir(cx, folder.join("a/b")).await.is_err());

    let options = OpenOptions::new().read(true).write(true).create_new(true);
    let mut file = File::open_with(cx, &path, options.clone()).await?;
    let taken = File::open_with(cx, &path, options).await.unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    file.write_all(cx, b"hello, file").await?;
    assert_eq!(file.position(), 11);
    assert_eq!(file.seek(cx, SeekFrom::End(-4)).await?, 7);
    let mut buf = [0; 8];
    assert_eq!((file.read(cx, &mut buf).await?, &buf[..4]), (4, &b"file"[..]));
    assert_eq!(file.read(cx, &mut buf).await?, 0);
    assert_eq!((file.read_at(cx, &mut buf[..5], 0).await?, &buf[..5]), (5, &b"hello"[..]));
    assert!(file.seek(cx, SeekFrom::Current(-100)).await.is_err());
    file.set_len(cx, 5).await?;
    file.sync_all(cx).await?;
    assert_eq!(fs::metadata(cx, &path).await?.len, 5);

    let mut log = File::open_with(cx, &path, OpenOptions::new().append(true)).await?;
    log.write_all(cx, b" and").await?;
    log.write_all(cx, b" more").await?;
    assert_eq!(fs::read_to_string(cx, &path, 100).await?, "hello and more");
    let long = fs::read(cx, &path, 13).await.unwrap_err();
    assert!(long.to_string().contains("ASY-0501"), "{long}");

    // Streams.
    let mut from = File::open(cx, &path).await?;
    let mut to = File::create(cx, folder.join("copy")).await?;
    assert_eq!(copy(cx, &mut from.stream(cx), &mut to.stream(cx)).await?, 14);
    let mut reader = from.stream(cx);
    assert_eq!(reader.seek(cx, SeekFrom::Start(6)).await?, 6);
    let mut word = [0; 3];
    reader.read_exact(cx, &mut word).await?;
    assert_eq!(&word, b"and");
    drop(reader);
    assert_eq!(from.position(), 9);
    let mut writer = to.stream(cx);
    writer.write_all(cx, b"!").await?;
    writer.close(cx).await?;
    assert_eq!(fs::read_to_string(cx, folder.join("copy"), 100).await?, "hello and more!");

    // Copies of files: over what was there, with permissions, more than one call takes, and none of itself.
    let (long, twin) = (folder.join("long"), folder.join("twin"));
    let content: Vec<u8> = (0..9 << 20).map(|at: u32| (at % 251) as u8).collect();
    fs::write(cx, &long, content.clone()).await?;
    assert_eq!(fs::copy(cx, &long, &twin).await?, 9 << 20);
    assert!(fs::read(cx, &twin, 10 << 20).await? == content);
    File::open(cx, &path).await?.set_mode(cx, 0o640).await?;
    assert_eq!(fs::copy(cx, &path, &twin).await?, 14);
    assert_eq!(fs::read_to_string(cx, &twin, 100).await?, "hello and more");
    assert_eq!(fs::metadata(cx, &twin).await?.mode, 0o640);
    let itself = fs::copy(cx, &twin, &twin).await.unwrap_err();
    assert_eq!(itself.kind(), io::ErrorKind::InvalidInput, "{itself}");
    assert_eq!(fs::read(cx, &twin, 100).await?.len(), 14);
    assert!(fs::copy(cx, folder.join("a"), &twin).await.is_err(), "a directory is no file");
    let none = fs::copy(cx, folder.join("none"), &twin).await.unwrap_err();
    assert!(none.to_string().contains("none"), "{none}");
    fs::remove_file(cx, &long).await?;
    fs::remove_file(cx, &twin).await?;

    fs::replace(cx, &path, "new").await?;
    assert_eq!(fs::read(cx, &path, 3).await?, b"new");
    fs::rename(cx, &path, folder.join("a/renamed")).await?;
    assert!(!fs::exists(cx, &path).await?);
    for number in 0..100 {
        fs::write(cx, folder.join(format!("a/b/{number:02}")), "").await?;
    }
    let mut names = Vec::new();
    let mut entries = ReadDir::open(cx, folder.join("a/b")).await?;
    while let Some(entry) = entries.next(cx).await? {
        assert_eq!(entry.kind(), FileKind::File);
        names.push(entry.file_name().to_str().unwrap().parse::<u32>().unwrap());
    }
    names.sort_unstable();
    assert!(names.into_iter().eq(0..100));
    assert!(fs::remove_dir(cx, folder.join("a/b")).await.is_err());
    fs::remove_file(cx, folder.join("a/renamed")).await?;
    fs::remove_dir_all(cx, folder.join("a")).await?;
    assert!(!fs::exists(cx, folder.join("a")).await?);

    let temp = TempDir::new_in(cx, &folder).await?;
    let mut inside = TempFile::new_in(cx, temp.path()).await?;
    inside.file_mut().write_all(cx, b"kept").await?;
    inside.persist(cx, folder.join("kept")).await?;
    let dropped = TempFile::new_in(cx, temp.path()).await?.path().to_owned();
    assert!(!fs::exists(cx, dropped).await?);
    let gone = temp.path().to_owned();
    temp.close(cx).await?;
    assert!(!fs::exists(cx, gone).await?);
    assert_eq!(fs::read(cx, folder.join("kept"), 10).await?, b"kept");
    Ok(())
}

#[test]
fn files_behave_alike_on_the_machine_and_in_the_lab() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    on_the_machine(async move |cx: &Cx| everyday(cx, path).await);
    let report = LabRuntime::new(LabConfig::default())
        .run(async |cx: &Cx| everyday(cx, "/tmp".into()).await);
    assert!(report.is_ok(), "{report}");
}

#[test]
fn cancelled_at_any_step_a_program_leaves_no_temporary_file() {
    let summary = LabTest::new("files::replaces")
        .config(LabConfig::default())
        .inject_cancel(true)
        .run(replaces);
    assert!(summary.runs > 20, "{summary:?}");
}

/// Replaces a file again and again while another task looks at it.
async fn replaces(cx: &Cx) -> Result<(), Error> {
    let files = cx.service::<VirtualFiles>().unwrap();
    let outcome = cx
        .region(async |scope| {
            let mut looking = scope.spawn(async |cx: &Cx| {
                for _ in 0..20 {
                    match fs::read(cx, "/tmp/state", 100).await {
                        Ok(content) => assert!(content == b"one" || content == b"two, longer"),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                    cx.yield_now().await?;
                }
                Ok::<_, Error>(())
            });
            for content in ["one", "two, longer", "one"] {
                cx.yield_now().await?;
                fs::replace(cx, "/tmp/state", content).await?;
            }
            looking.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        })
        .await;
    let left = files.paths();
    assert!(left.len() <= 2, "{left:?}");
    Ok(outcome.into_result()?)
}

/// Every call there is, some in a loop: well over a hundred places to be cancelled at.
async fn every_call(cx: &Cx) -> Result<(), Error> {
    let temp = TempDir::new(cx).await?;
    let folder = temp.path().join("a/b");
    fs::create_dir_all(cx, &folder).await?;
    for name in ["x", "y", "z"] {
        let path = folder.join(name);
        fs::write(cx, &path, name).await?;
        let options = OpenOptions::new().read(true).write(true);
        let mut file = File::open_with(cx, &path, options).await?;
        file.write_all(cx, b"content").await?;
        file.seek(cx, SeekFrom::End(-3)).await?;
        file.read(cx, &mut [0; 3]).await?;
        file.read_at(cx, &mut [0; 3], 0).await?;
        file.write_at(cx, b"!", 7).await?;
        file.set_len(cx, 4).await?;
        file.set_mode(cx, 0o600).await?;
        file.sync_data(cx).await?;
        file.sync_all(cx).await?;
        file.metadata(cx).await?;
        fs::read_to_string(cx, &path, 100).await?;
        fs::replace(cx, &path, "replaced").await?;
        fs::metadata(cx, &path).await?;
        fs::symlink_metadata(cx, &path).await?;
        fs::copy(cx, &path, folder.join("copied")).await?;
        fs::rename(cx, folder.join("copied"), folder.join("renamed")).await?;
        fs::exists(cx, &path).await?;
        let mut scratch = TempFile::new_in(cx, &folder).await?;
        scratch.file_mut().write_all(cx, b"kept").await?;
        scratch.persist(cx, &path).await?;
        let mut entries = ReadDir::open(cx, &folder).await?;
        while entries.next(cx).await?.is_some() {}
        fs::remove_file(cx, folder.join("renamed")).await?;
        fs::sync_dir(cx, &folder).await?;
    }
    let empty = temp.path().join("empty");
    fs::create_dir(cx, &empty).await?;
    fs::remove_dir(cx, &empty).await?;
    fs::remove_dir_all(cx, &folder).await?;
    Ok(temp.close(cx).await?)
}

/// Makes every call, and looks at what is left afterwards, cancelled or not.
async fn every_call_and_nothing_left(cx: &Cx) -> Result<(), Error> {
    let files = cx.service::<VirtualFiles>().unwrap();
    let outcome = every_call(cx).await;
    assert_eq!(files.paths(), [Path::new("/tmp")]);
    outcome
}

#[test]
fn cancelled_in_any_call_a_program_leaves_nothing() {
    let test = LabTest::new("files::every_call_and_nothing_left");
    let summary = test.inject_cancel(true).run(every_call_and_nothing_left);
    assert!(summary.runs > 100, "{summary:?}");
}

/// Replaces a file, with a yield before every step of it.
async fn replace_slowly(cx: &Cx) -> io::Result<()> {
    let mut temp = TempFile::new_in(cx, "/data").await?;
    cx.yield_now().await?;
    temp.file_mut().write_all(cx, b"new content").await?;
    cx.yield_now().await?;
    temp.file_mut().sync_all(cx).await?;
    cx.yield_now().await?;
    temp.persist(cx, "/data/state").await?;
    cx.yield_now().await?;
    fs::sync_dir(cx, "/data").await
}

/// The content after a crash before step `crash` of a replacement, and whether that was reported as done.
async fn crashed(cx: &Cx, crash: u64) -> Result<(Vec<u8>, bool), Error> {
    let files = cx.service::<VirtualFiles>().unwrap();
    fs::create_dir(cx, "/data").await?;
    fs::sync_dir(cx, "/").await?;
    fs::replace(cx, "/data/state", "old").await?;
    let mut replacing = cx.spawn(async |cx: &Cx| Ok::<_, Error>(replace_slowly(cx).await.is_ok()));
    for _ in 0..crash {
        cx.yield_now().await?;
    }
    let done = replacing.is_finished();
    files.crash();
    replacing.cancel(CancelReason::user("the power is gone"));
    let _ = replacing.join(cx).await?;
    Ok((files.content("/data/state").unwrap(), done))
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_content_or_the_new() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..20 {
        for crash in 0..24 {
            let lab = LabRuntime::new(LabConfig::default().seed(seed));
            let report = lab.run(async move |cx: &Cx| crashed(cx, crash).await);
            assert!(report.is_sound(), "{report}");
            match report.outcome {
                Outcome::Ok((content, done)) if content == b"old" => {
                    assert!(!done, "seed {seed}, crash {crash}: a finished replacement was lost");
                    old += 1;
                }
                Outcome::Ok((content, _)) => {
                    assert_eq!(content, b"new content", "seed {seed}, crash {crash}");
                    new += 1;
                }
                other => panic!("seed {seed}, crash {crash}: {other:?}"),
            }
        }
    }
    assert!(old > 20 && new > 20, "{old} old, {new} new");
}

/// What is left of a file of four sectors, of which the old content was synced, after a torn crash.
async fn torn(cx: &Cx, seed: u64, synced: bool) -> Result<Vec<u8>, Error> {
    let files = cx.service::<VirtualFiles>().unwrap();
    fs::replace(cx, "/tmp/log", vec![b'a'; 2048]).await?;
    let options = OpenOptions::new().write(true);
    let mut file = File::open_with(cx, "/tmp/log", options).await?;
    file.write_all(cx, &[b'b'; 2048]).await?;
    if synced {
        file.sync_all(cx).await?;
    }
    files.crash_torn(seed);
    Ok(files.content("/tmp/log").unwrap())
}

#[test]
fn a_torn_crash_mixes_sectors_of_what_was_not_synced_and_of_nothing_else() {
    let mut mixed = 0;
    for seed in 0..40 {
        for synced in [false, true] {
            let lab = LabRuntime::new(LabConfig::default());
            let report = lab.run(async move |cx: &Cx| torn(cx, seed, synced).await);
            let Outcome::Ok(left) = report.outcome else { panic!("{report}") };
            assert_eq!(left.len(), 2048);
            let whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
            assert!(left.chunks(512).all(whole), "a sector is written whole or not at all");
            assert!(!synced || left == [b'b'; 2048], "seed {seed}: what was synced is gone");
            mixed += usize::from(left.contains(&b'a') && left.contains(&b'b'));
        }
    }
    assert!(mixed > 20, "{mixed} of 40 crashes tore a file");
}

#[test]
fn an_unsynced_name_survives_some_torn_crashes_and_a_replaced_file_is_never_half_of_each() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..40 {
        let report = LabRuntime::new(LabConfig::default()).run(async move |cx: &Cx| {
            let files = cx.service::<VirtualFiles>().unwrap();
            fs::replace(cx, "/tmp/state", "old").await?;
            let mut temp = TempFile::new_in(cx, "/tmp").await?;
            temp.file_mut().write_all(cx, b"new content").await?;
            temp.file_mut().sync_all(cx).await?;
            temp.persist(cx, "/tmp/state").await?;
            files.crash_torn(seed); // before the folder was synced
            Ok::<_, Error>(files.content("/tmp/state").unwrap())
        });
        match report.outcome {
            Outcome::Ok(content) if content == b"old" => lost += 1,
            Outcome::Ok(content) if content == b"new content" => kept += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(lost > 5 && kept > 5, "{lost} lost, {kept} kept");
}

#[test]
fn a_full_disk_cuts_a_write_short_and_keeps_the_old_file() {
    let report = LabRuntime::new(LabConfig::default()).run(async |cx: &Cx| {
        let files = cx.service::<VirtualFiles>().unwrap();
        fs::replace(cx, "/tmp/state", "old").await?;
        files.set_capacity(8);
        let full = fs::replace(cx, "/tmp/state", "much longer").await.unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(cx, "/tmp/state", 10).await?, b"old");
        assert_eq!(files.paths(), [Path::new("/tmp"), Path::new("/tmp/state")]);
        let mut file = File::create(cx, "/tmp/log").await?;
        assert_eq!(file.write(cx, b"0123456789").await?, 5);
        assert!(file.write(cx, b"5").await.is_err());
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_thousand_cancelled_runs_leave_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    on_the_machine(async move |cx: &Cx| {
        for run in 0..1000u64 {
            let path = path.clone();
            let options = RegionOptions::new().name("cancelled");
            let closed = cx
                .region_reported(options, async |scope| {
                    let _ = scope.spawn(async move |cx: &Cx| {
                        let mut temp = TempFile::new_in(cx, &path).await?;
                        let folder = TempDir::new_in(cx, &path).await?;
                        temp.file_mut().write_all(cx, &[7; 1000]).await?;
                        fs::replace(cx, folder.path().join("inside"), "content").await?;
                        cx.sleep(Duration::from_secs(60)).await?;
                        Ok(())
                    });
                    cx.sleep(Duration::from_micros(run % 50 * 10)).await?;
                    scope.cancel(CancelReason::user("enough"));
                    Ok::<_, Error>(())
                })
                .await;
            assert!(closed.report.stragglers.is_empty(), "{:?}", closed.report);
        }
        Ok(())
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(descriptors() < 100, "{} descriptors are open", descriptors());
}

#[test]
fn what_is_written_after_a_cancelled_write_is_what_the_file_holds() {
    let temp = std::env::temp_dir().join(format!("asupersync-cancelled-{}", std::process::id()));
    let path = temp.clone();
    on_the_machine(async move |cx: &Cx| {
        let mut file = File::create(cx, &path).await?;
        {
            let mut stream = file.stream(cx);
            let mut first = pin!(stream.write(cx, b"the first"));
            let begun = poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending()));
            assert!(begun.await, "a call on the pool takes its time");
        }
        let mut stream = file.stream(cx);
        let begun = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut stream).poll_write(context, b"the first").is_pending())
        });
        assert!(begun.await, "a call on the pool takes its time");
        stream.write_all(cx, b"another").await?;
        drop(stream);
        file.set_len(cx, file.position()).await?;
        assert_eq!(fs::read_to_string(cx, &path, 100).await?, "another");
        Ok(())
    });
    std::fs::remove_file(temp).unwrap();
}

#[test]
fn a_cancelled_region_may_still_use_files_where_it_cleans_up() {
    let temp = std::env::temp_dir().join(format!("asupersync-cleanup-{}", std::process::id()));
    let path = temp.clone();
    on_the_machine(async move |cx: &Cx| {
        let (masked, last) = (path.clone(), path.clone());
        let ended = cx.region(async |scope| {
            scope.defer(async move |cx: &Cx| {
                Ok(fs::write(cx, last.with_extension("last"), "x").await?)
            });
            let _ = scope.spawn(async move |cx: &Cx| {
                let waited = cx.sleep(Duration::from_secs(60)).await;
                assert!(waited.is_err());
                cx.masked(fs::write(cx, masked, "x")).await?;
                Ok(waited?)
            });
            cx.yield_now().await?;
            scope.cancel(CancelReason::user("enough"));
            Ok::<_, Error>(())
        });
        let ended = ended.await;
        assert!(path.exists(), "{ended:?}");
        assert!(path.with_extension("last").exists(), "{ended:?}");
        Ok(())
    });
    let _ = std::fs::remove_file(temp.with_extension("last"));
    std::fs::remove_file(temp).unwrap();
}

/// Where a task waits is the program's line, not one of ours.
#[test]
fn calls_on_files_are_waited_for_where_the_program_makes_them() {
    let config = LabConfig::default().capture_trace(true);
    let report = LabRuntime::new(config).run(async |cx: &Cx| {
        fs::create_dir_all(cx, "/tmp").await?;
        fs::write(cx, "/tmp/file", "content").await?;
        fs::copy(cx, "/tmp/file", "/tmp/twin").await?;
        fs::read(cx, "/tmp/twin", 10).await?;
        let options = OpenOptions::new().read(true).write(true);
        let mut file = File::open_with(cx, "/tmp/file", options).await?;
        file.write(cx, b"a").await?;
        file.write_all(cx, b"b").await?;
        file.read(cx, &mut [0]).await?;
        file.seek(cx, SeekFrom::End(0)).await?;
        file.read_to_end(cx, &mut Vec::new(), 10).await?;
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
    let limits = asupersync_trace::Limits::default();
    let trace =
        asupersync_trace::Trace::parse(&report.trace.unwrap().into_bytes(), &limits).unwrap();
    let lines = trace.events().iter().map(|event| trace.line(event).to_string());
    let waits: Vec<String> = lines.filter(|line| line.contains("WaitParked")).collect();
    assert!(waits.len() >= 12, "{waits:?}");
    let ours: Vec<&String> = waits.iter().filter(|line| line.contains("os/src")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn directories_may_be_made_by_several_at_once_and_the_empty_path_is_here() {
    let temp = std::env::temp_dir().join(format!("asupersync-at-once-{}", std::process::id()));
    let root = temp.clone();
    on_the_machine(async move |cx: &Cx| {
        fs::create_dir_all(cx, "").await?;
        for round in 0..200 {
            let deep = root.join(format!("{round}/a/b/c"));
            let made = cx.region(async |scope| {
                for _ in 0..4 {
                    let deep = deep.clone();
                    let _ = scope.spawn(async move |cx: &Cx| {
                        Ok::<_, Error>(fs::create_dir_all(cx, deep).await?)
                    });
                }
                Ok(())
            });
            made.await.into_result()?;
        }
        Ok(())
    });
    std::fs::remove_dir_all(temp).unwrap();
}
