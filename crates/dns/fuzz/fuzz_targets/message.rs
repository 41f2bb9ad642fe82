//! A packet from anybody: refused, or a message that is the same again when written and read.
#![no_main]

use asupersync_dns::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let Ok(message) = Message::parse(packet) else { return };
    let names = message.answers.iter().map(|record| &record.name);
    for name in names.chain(message.questions.iter().map(|question| &question.name)) {
        assert!(name.label_count() <= 127 && name.is_within(name));
        assert!(!name.to_string().is_empty());
    }
    assert_eq!(Message::parse(&message.encode()), Ok(message));
});
