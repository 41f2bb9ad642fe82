//! The compiler's words for the commonest mistakes, checked in beside the mistake.

#[test]
fn each_mistake_is_answered_with_what_to_write_instead() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    cases.compile_fail("tests/ui/dsl/*.rs");
}
