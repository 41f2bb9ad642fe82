//! Child processes. One file of its own: children are the whole process's.

#[path = "support/machine.rs"]
mod machine;

use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, Outcome, RegionOptions};
use asupersync_io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_os::process::{Command, Stdio};
use asupersync_os::{Signal, stderr, stdin, stdout};
use asupersync_runtime::RuntimeBuilder;
use machine::{children, is_alive, on_the_machine, shell};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn output_is_collected_and_the_status_is_its_own() {
    on_the_machine(async |cx: &Cx| {
        let command = shell("echo out; echo err >&2; cat; exit 7").env("NAME", "value");
        let output = command.output(cx, 100).await?;
        assert_eq!(output.status.code(), Some(7));
        assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        let output = shell("echo $NAME; pwd").env("NAME", "value").current_dir("/").output(cx, 100);
        assert_eq!(output.await?.stdout, b"value\n/\n");
        Ok(())
    });
}

#[test]
fn pipes_carry_both_ways_at_once() {
    on_the_machine(async |cx: &Cx| {
        let command = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn(cx).await?;
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut writing = cx.spawn(async move |cx: &Cx| {
            for number in 0..20_000 {
                to.write_all(cx, format!("{number}\n").as_bytes()).await?;
            }
            to.close(cx).await?;
            Ok::<_, Error>(())
        });
        let mut lines = BufReader::new(from).lines(100);
        for number in 0..20_000 {
            assert_eq!(lines.next_line(cx).await?, Some(number.to_string()));
        }
        assert_eq!(lines.next_line(cx).await?, None);
        writing.join(cx).await?.into_result()?;
        assert!(child.wait(cx).await?.success());
        assert!(child.wait(cx).await?.success(), "it can be asked again");
        assert!(child.try_wait()?.is_some());
        Ok(())
    });
}

#[test]
fn a_program_that_is_not_there_is_named_and_the_lab_refuses_all() {
    on_the_machine(async |cx: &Cx| {
        let error = Command::new("no-such-program").spawn(cx).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no-such-program"), "{error}");
        Ok(())
    });
    let report = LabRuntime::new(LabConfig::default()).run(async |cx: &Cx| {
        let error = Command::new("/bin/true").spawn(cx).await.unwrap_err();
        assert!(error.to_string().starts_with("ASY-0004"), "{error}");
        let error = Command::new("/bin/true").output(cx, 1).await.unwrap_err();
        assert!(error.to_string().starts_with("ASY-0004"), "{error}");
        for refused in [stdin(cx).err(), stdout(cx).err(), stderr(cx).err()] {
            let error = refused.expect("the lab has no standard streams").to_string();
            assert!(error.starts_with("ASY-0004") && error.contains("processes.rs"), "{error}");
        }
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn too_much_output_is_an_error_and_ends_the_process() {
    on_the_machine(async |cx: &Cx| {
        let error = shell("yes").output(cx, 1000).await.unwrap_err();
        assert!(error.to_string().contains("ASY-0501"), "{error}");
        Ok(())
    });
}

#[test]
fn a_deadline_kills_the_process_and_what_it_started() {
    on_the_machine(async |cx: &Cx| {
        let script = "sleep 1000 & echo $!; wait";
        let mut child = shell(script).stdout(Stdio::piped()).spawn(cx).await?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines(100);
        let grandchild: u32 = lines.next_line(cx).await?.unwrap().parse().unwrap();
        assert!(is_alive(grandchild));
        let late = timeout(cx, Duration::from_millis(20), child.wait(cx)).await;
        assert!(late.is_err(), "{late:?}");
        child.stop();
        let status = child.wait(cx).await?;
        assert_eq!(status.signal(), Some(9));
        while is_alive(grandchild) {
            cx.sleep(Duration::from_millis(1)).await?;
        }
        Ok(())
    });
}

#[test]
fn with_a_grace_a_process_may_end_by_itself() {
    on_the_machine(async |cx: &Cx| {
        let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        let command = shell(script).stdout(Stdio::piped()).grace(Duration::from_secs(5));
        let mut child = command.spawn(cx).await?;
        let mut ready = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(cx, &mut ready).await?;
        child.stop();
        assert_eq!(child.wait(cx).await?.code(), Some(3));

        let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
        let command = shell(script).stdout(Stdio::piped()).grace(Duration::from_millis(50));
        let mut child = command.spawn(cx).await?;
        child.stdout.as_mut().unwrap().read_exact(cx, &mut ready).await?;
        child.stop();
        assert_eq!(child.wait(cx).await?.signal(), Some(9));

        let mut child = shell("trap 'exit 4' USR1; echo ready; while :; do sleep 0.01; done")
            .stdout(Stdio::piped())
            .spawn(cx)
            .await?;
        child.stdout.as_mut().unwrap().read_exact(cx, &mut ready).await?;
        child.signal(Signal::USER_1)?;
        assert_eq!(child.wait(cx).await?.code(), Some(4));
        child.signal(Signal::USER_1)?;
        Ok(())
    });
}

#[test]
fn a_cancelled_output_leaves_no_process_in_its_closed_region() {
    on_the_machine(async |cx: &Cx| {
        let marks = tempfile::tempdir()?;
        let started = marks.path().join("started");
        let script = format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 1000", started.display());
        let closed = cx
            .region(async |scope| {
                let mut output = scope.spawn(async move |cx: &Cx| {
                    Ok(shell(&script).output(cx, 100).await.map(|output| output.status)?)
                });
                while !started.exists() {
                    cx.sleep(Duration::from_millis(1)).await?;
                }
                output.cancel(CancelReason::user("enough"));
                assert!(output.join(cx).await?.is_cancelled());
                Ok::<_, Error>(())
            })
            .await;
        closed.into_result()?;
        assert_eq!(children(), [0; 0]);
        Ok(())
    });
}

/// Regions with a process each, cancelled at various moments.
async fn cancelled_runs(cx: &Cx, runs: u64) -> Result<(), Error> {
    for run in 0..runs {
        let options = RegionOptions::new().name("cancelled");
        let closed = cx
            .region_reported(options, async |scope| {
                let _ = scope.spawn(async |cx: &Cx| {
                    let command = Command::new("/bin/sleep").arg("1000").stdout(Stdio::piped());
                    let mut child = command.spawn(cx).await?;
                    child.stdout.as_mut().unwrap().read(cx, &mut [0]).await?;
                    Ok(())
                });
                cx.sleep(Duration::from_micros(run % 20 * 100)).await?;
                scope.cancel(CancelReason::user("enough"));
                Ok::<_, Error>(())
            })
            .await;
        assert!(closed.report.stragglers.is_empty(), "{:?}", closed.report);
        // Not only at the end: when the region has closed, it is so.
        assert_eq!(children(), [0; 0], "run {run}");
    }
    Ok(())
}

#[test]
fn a_closed_region_has_no_child_process() {
    on_the_machine(async |cx: &Cx| cancelled_runs(cx, 100).await);
}

#[test]
#[ignore = "starts a thousand processes"]
fn a_thousand_cancelled_runs_leave_no_child_process() {
    on_the_machine(async |cx: &Cx| cancelled_runs(cx, 1000).await);
}

#[test]
fn a_region_that_is_done_waits_for_the_process_it_let_go() {
    on_the_machine(async |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                let _ = scope.spawn(async |cx: &Cx| {
                    drop(Command::new("/bin/sleep").arg("1000").spawn(cx).await?);
                    Ok::<_, Error>(())
                });
                Ok::<_, Error>(())
            })
            .await;
        outcome.into_result()?;
        assert_eq!(children(), [0; 0]);
        Ok(())
    });
}

/// Run by the next test as a process of its own.
#[test]
#[ignore = "reads standard input"]
fn inner_echo() {
    let runtime = RuntimeBuilder::current_thread().build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let mut lines = BufReader::new(stdin(cx)?).lines(1000);
        let (mut out, mut err) = (stdout(cx)?, stderr(cx)?);
        while let Some(line) = lines.next_line(cx).await? {
            out.write_all(cx, format!("echo {line}\n").as_bytes()).await?;
            err.write_all(cx, b".").await?;
        }
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}

#[test]
fn standard_streams_are_pipes_files_and_silent_ones() {
    on_the_machine(async |cx: &Cx| {
        let inner = || {
            let arguments = ["--exact", "inner_echo", "--ignored", "--nocapture"];
            Command::new(std::env::current_exe().unwrap()).args(arguments)
        };
        let pipes = inner().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn(cx).await?;
        let mut to = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines(1000);
        for number in 0..3 {
            to.write_all(cx, format!("{number}\n").as_bytes()).await?;
            // It answers each line by itself: reading does not wait for more.
            loop {
                let line = lines.next_line(cx).await?.unwrap();
                if line.contains(&format!("echo {number}")) {
                    break;
                }
            }
        }
        to.close(cx).await?;
        while lines.next_line(cx).await?.is_some() {}
        let mut dots = String::new();
        child.stderr.take().unwrap().read_to_string(cx, &mut dots, 1000).await?;
        assert_eq!(dots, "...");
        assert!(child.wait(cx).await?.success());

        // A plain file cannot be watched, and need not be.
        let mut file = tempfile::tempfile()?;
        io::Write::write_all(&mut file, b"from a file\n")?;
        io::Seek::rewind(&mut file)?;
        let command = inner().stdin(file).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn(cx).await?;
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(cx, &mut text, 10_000).await?;
        assert!(text.contains("echo from a file\n"), "{text}");
        assert!(child.wait(cx).await?.success());
        Ok(())
    });
}

#[test]
fn a_cancelled_region_may_still_run_a_command_where_it_cleans_up() {
    on_the_machine(async |cx: &Cx| {
        let codes = Arc::new(Mutex::new(Vec::new()));
        let (first, last) = (codes.clone(), codes.clone());
        let ended = cx.region(async |scope| {
            scope.defer(async move |cx: &Cx| {
                let status = shell("exit 7").status(cx).await?;
                last.lock().unwrap().push(status.code());
                Ok(())
            });
            let _ = scope.spawn(async move |cx: &Cx| {
                let waited = cx.sleep(Duration::from_secs(60)).await;
                let output = cx.masked(shell("echo bye; exit 8").output(cx, 100)).await?;
                assert_eq!(output.stdout, b"bye\n");
                first.lock().unwrap().push(output.status.code());
                Ok(waited?)
            });
            cx.yield_now().await?;
            scope.cancel(CancelReason::user("enough"));
            Ok::<_, Error>(())
        });
        let ended = ended.await;
        assert_eq!(*codes.lock().unwrap(), [Some(8), Some(7)], "{ended:?}");
        Ok(())
    });
}

#[test]
fn a_command_that_is_given_up_has_left_no_process_when_it_answers() {
    on_the_machine(async |cx: &Cx| {
        let before = children();
        let given_up =
            timeout(cx, Duration::from_millis(50), shell("sleep 60").output(cx, 10)).await;
        assert!(given_up.is_err());
        assert_eq!(children(), before);
        let given_up = timeout(cx, Duration::from_millis(50), shell("sleep 60").status(cx)).await;
        assert!(given_up.is_err());
        assert_eq!(children(), before);
        let long = shell("yes").output(cx, 10).await.unwrap_err();
        assert!(long.to_string().contains("ASY-0501"), "{long}");
        assert_eq!(children(), before);
        Ok(())
    });
}
