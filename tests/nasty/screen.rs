//! The same tools as an operator meets them: on the screen of a real terminal.

use crate::host::console;

#[test]
fn smoke() {
    console(&[]).quit();
}
