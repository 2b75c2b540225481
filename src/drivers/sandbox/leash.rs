//! Kills what was begun for a server and given up.

use std::sync::Arc;
use std::time::Duration;

use super::cell::Cell;
use super::house::House;

/// For the end of what is killed.
const KILLING: Duration = Duration::from_secs(10);

/// Dropping it kills all that runs in a cell.
pub struct Leash {
    house: Arc<House>,
    cell: Option<Cell>,
}

impl Leash {
    pub fn new(house: &Arc<House>, cell: &Cell) -> Self {
        Self {
            house: house.clone(),
            cell: Some(cell.clone()),
        }
    }

    /// Somebody else sees to it now.
    pub fn loosen(mut self) {
        self.cell = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let ends = cell.clone();
            self.house.see_to(ends.ending(async move {
                let _ = cell.kill(KILLING).await;
            }));
        }
    }
}
