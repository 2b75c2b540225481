use crate::common::*;
#[test]
fn look() {
    for (w, h) in [(160, 45), (120, 36), (80, 24)] {
        eprintln!("{}", full(w, h).screen());
    }
    for keys in [
        "8z",
        "6z",
        "2zG<enter>",
        "2zi",
        "n",
        "<ctrl+p>rf",
        ":th",
        "1jjD",
        "2&mem",
    ] {
        eprintln!("=== {keys}\n{}", full(120, 30).press(keys).screen());
    }
    eprintln!("{}", full(80, 24).press("8z").screen());
    eprintln!("{}", full(60, 15).press("2").screen());
    eprintln!("{}", empty(120, 36).screen());
}
