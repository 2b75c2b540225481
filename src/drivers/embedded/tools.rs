//! Tools of the demo server that answer at once.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, ErrorData};
use serde::Deserialize;
use serde_json::{Value, json};

use super::catalog::{Arguments, text};
use super::picture;

type Answer = Result<CallToolResult, ErrorData>;

#[derive(Deserialize)]
struct Echo {
    text: String,
}

pub fn echo(arguments: Arguments) -> Answer {
    let Echo { text: said } = arguments.read()?;
    Ok(CallToolResult::success(vec![text(said)]))
}

#[derive(Deserialize)]
struct Add {
    a: f64,
    b: f64,
}

pub fn add(arguments: Arguments) -> Answer {
    let Add { a, b } = arguments.read()?;
    Ok(CallToolResult::structured(json!({ "sum": a + b })))
}

/// Takes any order and shows what arrived.
pub fn order(arguments: Arguments) -> CallToolResult {
    let received = arguments.into_value();
    let mut result = CallToolResult::success(vec![text(format!("{received:#}"))]);
    result.structured_content = Some(received);
    result
}

#[derive(Deserialize)]
struct Weather {
    city: String,
    #[serde(default = "three")]
    days: u64,
    #[serde(default)]
    units: Units,
}

#[derive(Clone, Copy, Default, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
enum Units {
    #[default]
    Metric,
    Imperial,
}

fn three() -> u64 {
    3
}

/// The same city has the same weather at all times.
pub fn weather(arguments: Arguments) -> Answer {
    let Weather { city, days, units } = arguments.read()?;
    let sky = ["clear", "cloudy", "rain", "snow", "fog"];
    let days: Vec<Value> = (0..days.clamp(1, 14))
        .map(|day| {
            let dice = scramble(city.bytes().fold(day, |sum, byte| scramble(sum ^ u64::from(byte))));
            let celsius = i64::try_from(dice % 41).unwrap_or_default() - 8;
            let temperature = match units {
                Units::Metric => celsius,
                Units::Imperial => celsius * 9 / 5 + 32,
            };
            let sky = sky[usize::try_from(dice / 41 % 5).unwrap_or_default()];
            json!({ "day": day, "temperature": temperature, "sky": sky, "humidity": dice / 205 % 101 })
        })
        .collect();
    Ok(CallToolResult::structured(json!({
        "city": city,
        "units": units.to_string(),
        "days": days,
    })))
}

/// One step of `SplitMix64`: well mixed, and the same everywhere.
fn scramble(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[derive(Deserialize)]
struct Table {
    #[serde(default = "twenty")]
    rows: u64,
}

fn twenty() -> u64 {
    20
}

pub fn table(arguments: Arguments) -> Answer {
    let Table { rows } = arguments.read()?;
    let names = ["Ada", "Grace", "Edsger", "Barbara", "Alan", "Frances"];
    let rows: Vec<Value> = (0..rows.min(100_000))
        .map(|id| {
            let dice = scramble(id);
            json!({
                "id": id,
                "name": names[usize::try_from(dice % 6).unwrap_or_default()],
                "balance": f64::from(u32::try_from(dice >> 40).unwrap_or_default()) / 100.0,
                "active": dice & 1 == 1,
                "note": if dice.is_multiple_of(7) { Value::Null } else { json!(format!("row {id}")) },
            })
        })
        .collect();
    Ok(CallToolResult::structured(json!({ "rows": rows })))
}

#[derive(Deserialize)]
#[serde(default)]
struct Picture {
    width: u32,
    height: u32,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            width: 64,
            height: 32,
        }
    }
}

pub fn picture(arguments: Arguments) -> Answer {
    let Picture { width, height } = arguments.read()?;
    let (width, height) = (width.clamp(1, 1024), height.clamp(1, 1024));
    let png = STANDARD.encode(picture::gradient(width, height));
    let words = text(format!("a gradient of {width} × {height} pixels"));
    Ok(CallToolResult::success(vec![
        words,
        ContentBlock::image(png, "image/png"),
    ]))
}

/// What a careless console would obey: colours, a title, a cleared screen, reversed and wide text.
pub fn ansi() -> CallToolResult {
    let lines = [
        "\u{1b}[1;31mbold red\u{1b}[0m and \u{1b}[38;2;80;200;255mtrue colour\u{1b}[0m",
        "a window title: \u{1b}]0;not yours\u{7}, a cleared screen: \u{1b}[2J\u{1b}[H",
        "8-bit controls: \u{9b}31m, a bell \u{7}, a backspace \u{8}, a null \u{0}",
        "a carriage return\rOVERWRITES",
        "right to left: \u{202e}txt.exe\u{202c}, isolates: \u{2066}abc\u{2069}",
        "wide: 漢字かな交じり文, combining: e\u{301} n\u{303}, joined: 👩\u{200d}👩\u{200d}👧, flag: 🇪🇺",
        "tabs:\tone\ttwo\tthree",
        "a hidden link: \u{1b}]8;;https://example.com\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    ];
    CallToolResult::success(vec![text(lines.join("\n"))])
}

#[derive(Deserialize)]
#[serde(default)]
struct Fail {
    message: String,
}

impl Default for Fail {
    fn default() -> Self {
        Self {
            message: "the printer is on fire".into(),
        }
    }
}

/// Answers with `isError`: the tool ran and could not do its work.
pub fn fail(arguments: Arguments) -> Answer {
    let Fail { message } = arguments.read()?;
    Ok(CallToolResult::error(vec![text(message)]))
}

/// Answers with a JSON-RPC error that carries data.
pub fn refuse() -> ErrorData {
    let data = json!({ "limit": 100, "used": 100, "retry_after_seconds": 60 });
    // Outside the range that JSON-RPC reserves, as an application's own codes are.
    ErrorData::new(ErrorCode(429), "the quota is used up", Some(data))
}

#[derive(Deserialize)]
struct Blob {
    #[serde(default = "ten")]
    megabytes: f64,
}

fn ten() -> f64 {
    10.0
}

/// A JSON document as text, of the asked size and a row more at most.
pub async fn blob(arguments: Arguments) -> Answer {
    let Blob { megabytes } = arguments.read()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 to 300 MB"
    )]
    let size = (megabytes.clamp(0.0, 300.0) * 1e6) as usize;
    let document = tokio::task::spawn_blocking(move || document(size)).await;
    match document {
        Ok(document) => Ok(CallToolResult::success(vec![text(document)])),
        Err(error) => Err(ErrorData::internal_error(
            format!("no document: {error}"),
            None,
        )),
    }
}

fn document(size: usize) -> String {
    let mut document = String::with_capacity(size + 128);
    document.push_str("{\"rows\":[\n");
    for id in 0.. {
        let dice = scramble(id);
        let comma = if id == 0 { "" } else { ",\n" };
        write!(
            document,
            r#"{comma}{{"id":{id},"name":"row {id}","value":{},"ok":{}}}"#,
            dice % 1_000_000,
            dice & 1 == 1
        )
        .expect("a String takes everything");
        if document.len() + 4 >= size {
            break;
        }
    }
    document.push_str("\n]}\n");
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_asked_size_and_parses() {
        for size in [0, 1000, 1_000_000] {
            let document = document(size);
            assert!(
                document.len() >= size && document.len() < size + 100,
                "{}",
                document.len()
            );
            let rows: Value = serde_json::from_str(&document).expect("a JSON document");
            assert_eq!(rows["rows"][0]["name"], "row 0");
        }
    }

    #[test]
    fn the_weather_does_not_change() {
        let ask = || Arguments::from(json!({ "city": "Oslo", "units": "imperial", "days": 2 }));
        let (first, second) = (weather(ask()), weather(ask()));
        let content = |answer: Answer| answer.ok().and_then(|result| result.structured_content);
        let first = content(first).expect("an answer");
        assert_eq!(Some(first.clone()), content(second));
        assert_eq!(first["days"].as_array().map(Vec::len), Some(2));
    }
}
