//! Child processes that do not behave, and a machine that does not.

#[path = "support/machine.rs"]
mod machine;

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_os::process::{Command, Stdio};
use asupersync_runtime::RuntimeBuilder;
use machine::{on_the_machine, shell};
use rustix::process::{Pid, Signal as Raw, WaitOptions, kill_process, waitpid};
use std::io;
use std::time::Duration;

/// Long enough for anything that ends at all.
const CEILING: Duration = Duration::from_secs(20);

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

#[test]
fn a_process_that_has_left_its_group_is_killed_all_the_same() {
    on_the_machine(async |cx: &Cx| {
        // It joins its parent's group, and then says so.
        let script = "setpgrp(0, getpgrp(getppid())) or die; $| = 1; print 'x'; sleep 1000";
        let command = Command::new("/usr/bin/perl").args(["-e", script]).stdout(Stdio::piped());
        let mut child = command.spawn(cx).await?;
        child.stdout.as_mut().unwrap().read_exact(cx, &mut [0]).await?;
        child.stop();
        let ended = timeout(cx, CEILING, child.wait(cx)).await;
        // So that a failure does not hang.
        let _ = kill_process(pid(child.id()), Raw::KILL);
        assert_eq!(ended.expect("it is killed")?.code(), None);
        Ok(())
    });
}

#[test]
fn a_process_that_somebody_else_waited_for_is_an_error_and_its_number_is_left_alone() {
    // On one thread: between the kill and the wait nobody of ours is told.
    let runtime = RuntimeBuilder::current_thread().build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        for stopped in [false, true] {
            let command = shell("exec sleep 1000").grace(Duration::from_secs(1000));
            let child = command.spawn(cx).await?;
            let id = child.id();
            if stopped {
                child.stop();
            }
            // As a library does that waits for every child of the process.
            kill_process(pid(id), Raw::KILL).unwrap();
            waitpid(Some(pid(id)), WaitOptions::empty()).unwrap();
            let error = child.wait(cx).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("somebody else") && text.contains(&id.to_string()), "{text}");
            child.stop();
            assert!(child.wait(cx).await.is_err() && child.try_wait().is_err());
        }
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn what_cannot_be_started_says_what_is_missing() {
    on_the_machine(async |cx: &Cx| {
        let folder = tempfile::tempdir()?;
        let text = folder.path().join("no-program");
        std::fs::write(&text, "text")?;
        let lost = folder.path().join("lost");
        let cases = [
            (Command::new("/bin/true").current_dir(&lost), io::ErrorKind::NotFound, "lost"),
            (
                Command::new("/bin/true").current_dir(&text),
                io::ErrorKind::NotADirectory,
                "no-program",
            ),
            (Command::new(&text), io::ErrorKind::PermissionDenied, "no-program"),
            (Command::new(folder.path()), io::ErrorKind::PermissionDenied, "cannot start"),
            (Command::new("nul\0"), io::ErrorKind::InvalidInput, "nul"),
        ];
        for (command, kind, named) in cases {
            let shown = format!("{command:?}");
            let error = command.output(cx, 10).await.expect_err(&shown);
            assert_eq!(error.kind(), kind, "{shown}: {error}");
            assert!(error.to_string().contains(named), "{shown}: {error}");
        }
        Ok(())
    });
}

#[test]
fn much_output_on_both_pipes_comes_whole() {
    on_the_machine(async |cx: &Cx| {
        // Error first, far beyond what a pipe holds, then output, then both in turns.
        let script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; \
                      for i in 1 2 3 4 5; do head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2; done";
        let output = timeout(cx, CEILING, shell(script).output(cx, 2_000_000)).await.unwrap()?;
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_500_000, 1_500_000));
        assert!(output.status.success());
        Ok(())
    });
}

#[test]
fn a_pipe_whose_other_end_is_closed_early_says_so() {
    on_the_machine(async |cx: &Cx| {
        let mut child = shell("exec 0<&-; echo closed; read line <&1 || sleep 1000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn(cx)
            .await?;
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        from.read_exact(cx, &mut [0; 7]).await?;
        let error = to.write_all(cx, &[7; 100_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // We close the output; the process is told by SIGPIPE.
        let mut child =
            shell("while echo much; do :; done").stdout(Stdio::piped()).spawn(cx).await?;
        drop(child.stdout.take());
        let status = timeout(cx, CEILING, child.wait(cx)).await.expect("it ends by itself")?;
        assert!(!status.success(), "{status}");
        Ok(())
    });
}

#[test]
fn a_process_that_has_ended_takes_no_signal_and_can_be_stopped_for_nothing() {
    on_the_machine(async |cx: &Cx| {
        let child = shell("exit 5").grace(Duration::from_secs(60)).spawn(cx).await?;
        assert_eq!(child.wait(cx).await?.code(), Some(5));
        child.stop();
        child.signal(asupersync_os::Signal::TERMINATE)?;
        assert_eq!(child.try_wait()?.and_then(|status| status.code()), Some(5));
        Ok(())
    });
}

#[test]
fn children_of_others_are_left_to_them() {
    on_the_machine(async |cx: &Cx| {
        let mut theirs = std::process::Command::new("/bin/sh").args(["-c", "exit 3"]).spawn()?;
        for _ in 0..10 {
            assert!(shell("exit 0").status(cx).await?.success());
        }
        assert_eq!(theirs.wait()?.code(), Some(3));
        Ok(())
    });
}
