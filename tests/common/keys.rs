//! Key names as in VHS tapes, and the bytes an xterm sends for them.

/// The bytes of a key such as `Enter`, `Ctrl+C`, `Alt+x`, `Shift+Tab`, `Ctrl+Shift+Left`, `F2` or `x`.
///
/// Source: xterm's ctlseqs, "PC-Style Function Keys" (modifier code = 1 + shift + 2·alt + 4·ctrl).
///
/// # Errors
/// An unknown name, or a combination that no terminal can send.
pub fn bytes(name: &str) -> Result<Vec<u8>, String> {
    let (mut shift, mut alt, mut ctrl, mut rest) = (false, false, false, name);
    // A key may itself be "+": only a prefix with something behind it is a modifier.
    while let Some((modifier, key)) = rest.split_once('+').filter(|(_, key)| !key.is_empty()) {
        match modifier {
            "Shift" => shift = true,
            "Alt" => alt = true,
            "Ctrl" => ctrl = true,
            _ => return Err(format!("unknown modifier `{modifier}` in key `{name}`")),
        }
        rest = key;
    }
    let code = 1 + u8::from(shift) + 2 * u8::from(alt) + 4 * u8::from(ctrl);
    if let Some(sequence) = function_key(rest, code) {
        return Ok(sequence.into_bytes());
    }
    let byte = match rest {
        "Tab" if shift => return Ok(b"\x1b[Z".to_vec()),
        "Enter" => b'\r',
        "Tab" => b'\t',
        "Space" if ctrl => 0,
        "Space" => b' ',
        "Backspace" if ctrl => 0x08,
        "Backspace" => 0x7f,
        "Escape" => 0x1b,
        _ => return character(rest, alt, ctrl).ok_or_else(|| format!("unknown key `{name}`")),
    };
    Ok(if alt { vec![0x1b, byte] } else { vec![byte] })
}

/// One typed character, with Alt as a leading escape and Ctrl as the low five bits.
fn character(text: &str, alt: bool, ctrl: bool) -> Option<Vec<u8>> {
    let mut characters = text.chars();
    let character = characters.next().filter(|_| characters.next().is_none())?;
    let mut bytes = if alt { vec![0x1b] } else { Vec::new() };
    if ctrl {
        let upper = u8::try_from(character.to_ascii_uppercase()).ok()?;
        if !(b'@'..=b'_').contains(&upper) {
            return None;
        }
        bytes.push(upper & 0x1f);
    } else {
        bytes.extend(character.to_string().into_bytes());
    }
    Some(bytes)
}

/// Cursor, editing and F keys; `code` is 1 without modifiers and then left out.
fn function_key(name: &str, code: u8) -> Option<String> {
    let letter = |last: char, plain: &str| match code {
        1 => format!("\x1b{plain}{last}"),
        _ => format!("\x1b[1;{code}{last}"),
    };
    let tilde = |number: u8| match code {
        1 => format!("\x1b[{number}~"),
        _ => format!("\x1b[{number};{code}~"),
    };
    Some(match name {
        "Up" => letter('A', "["),
        "Down" => letter('B', "["),
        "Right" => letter('C', "["),
        "Left" => letter('D', "["),
        "End" => letter('F', "["),
        "Home" => letter('H', "["),
        "Insert" => tilde(2),
        "Delete" => tilde(3),
        "PageUp" => tilde(5),
        "PageDown" => tilde(6),
        "F1" => letter('P', "O"),
        "F2" => letter('Q', "O"),
        "F3" => letter('R', "O"),
        "F4" => letter('S', "O"),
        "F5" => tilde(15),
        "F6" => tilde(17),
        "F7" => tilde(18),
        "F8" => tilde(19),
        "F9" => tilde(20),
        "F10" => tilde(21),
        "F11" => tilde(23),
        "F12" => tilde(24),
        _ => return None,
    })
}
