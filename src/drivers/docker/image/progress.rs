//! What an engine tells of a pull, summed up in a few words.

use std::collections::HashMap;

use bollard::models::{CreateImageInfo, ProgressDetail};

/// The layers of an image on their way, by their ids.
#[derive(Default)]
pub struct Progress {
    layers: HashMap<String, Layer>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layer {
    state: State,
    /// Bytes of the state.
    current: u64,
    /// Bytes to download, once known.
    size: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum State {
    #[default]
    Waiting,
    Downloading,
    Downloaded,
    Unpacking,
    Done,
}

impl Progress {
    /// Takes a message in; whether it tells of anything new. That a download is tried again is nothing new.
    pub fn take(&mut self, message: &CreateImageInfo) -> bool {
        let Some(status) = message.status.as_deref() else {
            return false;
        };
        let detail = message.progress_detail.as_ref();
        let Some(state) = state(status) else {
            return message.id.is_none();
        };
        let Some(id) = &message.id else {
            return true;
        };
        let before = self.layers.get(id).copied();
        let layer = self.layers.entry(id.clone()).or_default();
        layer.advance(state, detail);
        before != Some(*layer)
    }

    /// `pull image 12/34 MB, layers 2/5`, or nothing as long as there is nothing to tell.
    pub fn words(&self) -> Option<String> {
        let all = self.layers.len();
        if all == 0 {
            return None;
        }
        let sum = |of: fn(&Layer) -> u64| self.layers.values().map(of).sum::<u64>();
        let (loaded, size) = (sum(Layer::loaded), sum(|layer| layer.size));
        let done = |least| {
            self.layers
                .values()
                .filter(|layer| layer.state >= least)
                .count()
        };
        if done(State::Downloaded) == all {
            let ready = done(State::Done);
            return Some(format!("unpack image, layers {ready}/{all}"));
        }
        let ready = done(State::Downloaded);
        Some(if size == 0 {
            format!("pull image, layers {ready}/{all}")
        } else {
            let bytes = megabytes(loaded, size);
            format!("pull image {bytes}, layers {ready}/{all}")
        })
    }
}

impl Layer {
    fn advance(&mut self, state: State, detail: Option<&ProgressDetail>) {
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let current = detail
            .and_then(|detail| bytes(detail.current))
            .unwrap_or_default();
        if state == State::Downloading {
            let size = detail
                .and_then(|detail| bytes(detail.total))
                .unwrap_or_default();
            self.size = self.size.max(size).max(current);
        }
        (self.state, self.current) = (state, current);
    }

    fn loaded(&self) -> u64 {
        match self.state {
            State::Waiting => 0,
            State::Downloading => self.current,
            State::Downloaded | State::Unpacking | State::Done => self.size,
        }
    }
}

/// The words of engines 20.10 to 28; `None` for what is about no layer or tells of no progress.
fn state(status: &str) -> Option<State> {
    Some(match status {
        "Pulling fs layer" | "Waiting" => State::Waiting,
        "Downloading" => State::Downloading,
        "Verifying Checksum" | "Download complete" => State::Downloaded,
        "Extracting" => State::Unpacking,
        "Pull complete" | "Already exists" => State::Done,
        _ => return None,
    })
}

/// `12/34 MB`; small ones with a decimal.
fn megabytes(part: u64, whole: u64) -> String {
    const MEGABYTE: u64 = 1_000_000;
    let tenths = |bytes: u64| (bytes / (MEGABYTE / 10) / 10, bytes / (MEGABYTE / 10) % 10);
    if whole < 10 * MEGABYTE {
        let ((part, part_tenth), (whole, whole_tenth)) = (tenths(part), tenths(whole));
        format!("{part}.{part_tenth}/{whole}.{whole_tenth} MB")
    } else {
        format!("{}/{} MB", part / MEGABYTE, whole / MEGABYTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        let detail = bytes.map(|(current, total)| ProgressDetail {
            current: Some(current),
            total: Some(total),
        });
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: detail,
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn a_pull_is_told_from_its_first_layer_to_its_last() {
        let mut progress = Progress::default();
        let from = CreateImageInfo {
            id: Some("latest".into()),
            status: Some("Pulling from mcp/time".into()),
            ..CreateImageInfo::default()
        };
        progress.take(&from);
        assert_eq!(progress.words(), None);
        assert!(progress.take(&message("a", "Pulling fs layer", None)));
        assert!(progress.take(&message("b", "Already exists", None)));
        assert_eq!(progress.words().expect("words"), "pull image, layers 1/2");
        assert!(progress.take(&message("a", "Downloading", Some((12_300_000, 34_000_000)))));
        assert_eq!(
            progress.words().expect("words"),
            "pull image 12/34 MB, layers 1/2"
        );
        assert!(progress.take(&message("a", "Download complete", None)));
        assert_eq!(progress.words().expect("words"), "unpack image, layers 1/2");
        assert!(progress.take(&message("a", "Extracting", Some((1, 34_000_000)))));
        assert!(progress.take(&message("a", "Pull complete", None)));
        assert_eq!(progress.words().expect("words"), "unpack image, layers 2/2");
    }

    #[test]
    fn standing_still_is_no_progress() {
        let mut progress = Progress::default();
        assert!(progress.take(&message("a", "Downloading", Some((5, 10)))));
        assert!(!progress.take(&message("a", "Downloading", Some((5, 10)))));
        assert!(!progress.take(&message("a", "Retrying in 5 seconds", None)));
        assert!(progress.take(&message("a", "Downloading", Some((6, 10)))));
    }
}
