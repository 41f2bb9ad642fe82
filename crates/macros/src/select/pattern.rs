//! What can be told of a pattern by its looks.

use syn::{Pat, PatIdent, PatWild, Token};

/// Whether it is a name that binds: constants and variants begin with a capital.
fn binds(pattern: &PatIdent) -> bool {
    let name = pattern.ident.to_string();
    pattern.by_ref.is_some()
        || pattern.mutability.is_some()
        || !name.trim_start_matches("r#").starts_with(char::is_uppercase)
}

/// Whether every value matches, as far as can be seen without types.
pub(super) fn is_irrefutable(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) | Pat::Rest(_) => true,
        Pat::Ident(name) => {
            binds(name) && name.subpat.as_ref().is_none_or(|(_, pattern)| is_irrefutable(pattern))
        }
        Pat::Paren(inner) => is_irrefutable(&inner.pat),
        Pat::Reference(inner) => is_irrefutable(&inner.pat),
        Pat::Tuple(tuple) => tuple.elems.iter().all(is_irrefutable),
        _ => false,
    }
}

/// The pattern with `_` for each binding, so that a value can be held against it without being moved.
pub(super) fn without_bindings(pattern: &Pat) -> Pat {
    let mut pattern = pattern.clone();
    blank(&mut pattern);
    pattern
}

fn blank(pattern: &mut Pat) {
    match pattern {
        Pat::Ident(name) => {
            if let Some((_, inner)) = name.subpat.take() {
                *pattern = *inner;
                blank(pattern);
            } else if binds(name) {
                *pattern = wild();
            }
        }
        Pat::Or(or) => or.cases.iter_mut().for_each(blank),
        Pat::Paren(inner) => blank(&mut inner.pat),
        Pat::Reference(inner) => blank(&mut inner.pat),
        Pat::Slice(slice) => slice.elems.iter_mut().for_each(blank),
        Pat::Struct(fields) => {
            for field in &mut fields.fields {
                field.colon_token.get_or_insert_with(<Token![:]>::default);
                blank(&mut field.pat);
            }
        }
        Pat::Tuple(tuple) => tuple.elems.iter_mut().for_each(blank),
        Pat::TupleStruct(tuple) => tuple.elems.iter_mut().for_each(blank),
        _ => {}
    }
}

fn wild() -> Pat {
    Pat::Wild(PatWild { attrs: Vec::new(), underscore_token: <Token![_]>::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;
    use syn::parse::Parser;

    #[track_caller]
    fn check(pattern: &str, irrefutable: bool, shape: &str) {
        let parsed = Pat::parse_multi.parse_str(pattern).expect("a pattern");
        assert_eq!(is_irrefutable(&parsed), irrefutable, "{pattern}");
        let wanted = Pat::parse_multi.parse_str(shape).expect("a pattern");
        let found = without_bindings(&parsed).to_token_stream().to_string();
        assert_eq!(found, wanted.to_token_stream().to_string());
    }

    #[test]
    fn a_name_a_wildcard_and_a_tuple_of_them_match_everything() {
        check("value", true, "_");
        check("mut value", true, "_");
        check("(a, ref mut b, _, ..)", true, "(_, _, _, ..)");
        check("all @ (a, b)", true, "(_, _)");
    }

    #[test]
    fn a_variant_a_constant_and_a_literal_match_something() {
        check("None", false, "None");
        check("LIMIT", false, "LIMIT");
        check("Ok((n, 3)) | Err(n)", false, "Ok((_, 3)) | Err(_)");
        check("low @ 1..=3", false, "1..=3");
        check("(a, Some(&b))", false, "(_, Some(&_))");
    }

    #[test]
    fn fields_keep_their_names() {
        check("Point { x, y: 0, .. }", false, "Point { x: _, y: 0, .. }");
        check("Some(Point { ref x, mut y })", false, "Some(Point { x: _, y: _ })");
        check("[first, rest @ .., 7]", false, "[_, .., 7]");
    }
}
