use crate::common::*;
#[test]
fn look() {
    eprintln!(
        "{}",
        full(160, 45)
            .press("2")
            .screen()
            .lines()
            .take(10)
            .collect::<Vec<_>>()
            .join("\n")
    );
    eprintln!("{}", full(120, 36).screen());
    eprintln!(
        "{}",
        full(80, 24)
            .screen()
            .lines()
            .take(10)
            .collect::<Vec<_>>()
            .join("\n")
    );
    for keys in ["8z", "2zjj<enter>", "n", "<ctrl+p>rf", ":th"] {
        eprintln!("=== {keys}\n{}", full(120, 32).press(keys).screen());
    }
}
