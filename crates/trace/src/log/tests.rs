use super::*;
use crate::tables::LONGEST;
use asupersync_core::{ObjectId, RegionId, TaskId, Time};
use kernel::event::Access;
use std::panic::Location;

/// Gives `take` so many events of several sorts, with texts in some of them.
fn events(count: u64, mut take: impl FnMut(Result<&kernel::Event<'_>, &Event>)) {
    let (region, site) = (RegionId::from_bits(1), Location::caller());
    for number in 0..count {
        let task = TaskId::from_bits(number / 7);
        let text = format!("number {}", number % 11);
        let event = match number % 6 {
            0 => kernel::Event::TaskSpawned {
                task,
                region,
                by: None,
                name: (number % 4 > 0).then_some(&text),
                site,
                finalizer: number % 3 == 0,
            },
            1 if number % 4 == 1 => kernel::Event::User { task, message: "" },
            1 => kernel::Event::User { task, message: &text },
            2 => kernel::Event::PollBegin { task, at: Time::from_nanos(number) },
            3 => kernel::Event::Access {
                task: Some(task),
                object: ObjectId::from_bits(number % 5),
                access: Access::Write,
                label: "thing",
            },
            4 => {
                take(Err(&Event::Chosen { index: 0, of: number as u32 }));
                continue;
            }
            _ => {
                let name = Some(&*text);
                kernel::Event::RegionOpened { region, parent: None, by: None, name, site }
            }
        };
        take(Ok(&event));
    }
}

#[test]
fn the_file_of_a_log_is_that_of_a_writer() {
    let kept = KEPT as u64;
    for count in [0, 1, 100, kept - 1, kept, kept + 1, 3 * kept + 5] {
        let header = || Header::new(3).with_option("count", count);
        let mut writer = Writer::new(header());
        events(count, |event| match event {
            Ok(event) => writer.kernel(event),
            Err(event) => writer.host(event),
        });
        let mut log = EventLog::new(header(), 10);
        events(count, |event| match event {
            Ok(event) => log.kernel(event),
            Err(event) => log.host(event),
        });
        assert!(log.kept() <= KEPT);
        assert!(log.into_bytes() == writer.finish(), "{count} events");
    }
}

#[test]
fn a_text_that_no_reader_takes_is_cut_as_a_writer_cuts_it() {
    let long = "ü".repeat(LONGEST);
    let event = kernel::Event::User { task: TaskId::from_bits(1), message: &long };
    let mut log = EventLog::new(Header::new(1), 0);
    log.kernel(&event);
    let mut writer = Writer::new(Header::new(1));
    writer.kernel(&event);
    assert!(log.texts.len() <= LONGEST);
    assert_eq!(log.into_bytes(), writer.finish());
}
