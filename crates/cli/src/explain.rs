//! `explain`: an error code's page.

use asupersync_trace::plain;
use serde_json::json;

macro_rules! pages {
    ($($code:literal)*) => {
        &[$(($code, include_str!(concat!("../../../docs/errors/", $code, ".md")))),*]
    };
}

/// Every page of the documentation's folder of errors.
const PAGES: &[(&str, &str)] = pages! {
    "ASY-0000"
    "ASY-0001"
    "ASY-0002"
    "ASY-0003"
    "ASY-0004"
    "ASY-0005"
    "ASY-0006"
    "ASY-0007"
    "ASY-0008"
    "ASY-0009"
    "ASY-0010"
    "ASY-0011"
    "ASY-0012"
    "ASY-0013"
    "ASY-0014"
    "ASY-0015"
    "ASY-0016"
    "ASY-0501"
    "ASY-0502"
    "ASY-0503"
    "ASY-0504"
    "ASY-0505"
    "ASY-0506"
    "ASY-0510"
    "ASY-0511"
    "ASY-0512"
    "ASY-0513"
    "ASY-0520"
    "ASY-0540"
    "ASY-0541"
    "ASY-0542"
    "ASY-0543"
    "ASY-0544"
    "ASY-0545"
    "ASY-0546"
    "ASY-0550"
    "ASY-0551"
    "ASY-0552"
    "ASY-0553"
    "ASY-0601"
    "ASY-0602"
    "ASY-0603"
    "ASY-0610"
    "ASY-0611"
    "ASY-0612"
    "ASY-0613"
    "ASY-0614"
    "ASY-0615"
};

/// The page of `code`, which may be written without its prefix.
pub(crate) fn explain(code: &str, json: bool) -> Result<String, String> {
    let wanted = code.to_ascii_uppercase();
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = if is_number { format!("ASY-{wanted:0>4}") } else { wanted };
    let page = PAGES.iter().find(|(known, _)| *known == wanted);
    let (code, page) = page.ok_or_else(|| format!("`{}` is no error code", plain(code)))?;
    if !json {
        return Ok((*page).to_owned());
    }
    let title = page.lines().next().unwrap_or_default().trim_start_matches("# ");
    let title = title.split_once(": ").map_or(title, |(_, title)| title);
    Ok(format!("{}\n", json!({ "code": code, "title": title, "page": page })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_folder_can_be_explained() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if code.starts_with("ASY-") {
                assert!(explain(&code, false).is_ok(), "{code} is missing in `PAGES`");
            }
        }
    }
}
