//! envdeck: a terminal console over an embedded orchestrator of MCP environments.
//!
//! # The map
//!
//! ```text
//! model         pure data: Fleet, Phase, Event, Command, Failure, Call     (no tokio, no ratatui)
//! drivers, mcp  the outside world: processes, servers, the MCP client      (no UI)
//! stores        bulk data behind handles: logs, results, history
//! orchestrator  the single writer: Command -> work -> Event -> Fleet       (no UI)
//! gateway       MCP server on /mcp: requests of agents -> Commands         (no terminal, no drivers)
//! console       Fleet + keys -> cells + Effects                            (no drivers, no locks)
//! commands      what the shell runs: the console, check                    (may print)
//! config, cli   what the user wrote, validated
//! arguments     the arguments of a tool, by its schema
//! paths, telemetry  where things are kept, and the program's own log
//! runs          the directories of runs, dead and alive
//! signals       how the program is told to end
//! backoff       how long to wait before trying again
//! nearest       did you mean …?
//! quote         words as a shell needs them
//! ```
//!
//! ```text
//! main, commands ─▶ console, gateway ─▶ orchestrator::Handle ─▶ model
//!                                               │
//!                                               └─▶ drivers, mcp, stores ─▶ model
//! config ─▶ model
//! ```
//!
//! Six rules carry the design; `tests/architecture.rs` enforces the imports behind them:
//!
//! 1. **One writer.** Only `orchestrator/hub.rs` changes a [`model::Fleet`], only through
//!    [`model::Fleet::apply`].
//! 2. **State by snapshot, bulk by handle, happenings by notice.** Rows come as `watch<Arc<Fleet>>`;
//!    logs and results are read through windows of their stores; nothing bulky is ever a message.
//! 3. **Handlers never wait.** [`console::model::Model::update`] is a plain function from a message to
//!    effects, and effects are data.
//! 4. **`sync` may mutate, `draw` may not.** Drawing costs O(visible rows).
//! 5. **Every queue has a size, every loss has a counter on the screen.**
//! 6. **One pipeline for tool calls.** Whoever calls a tool goes through `orchestrator/calls.rs`.
//!
//! # From a key to a container and back
//!
//! The console runs on the main thread ([`console::run`]): a key becomes an action
//! ([`console::keymap`]), a pane answers with intents ([`console::effect`]), the loop sends a
//! [`model::Command`] through [`orchestrator::Handle`]. On the core's own threads a task for each session
//! and each instance does the work through a [`drivers::Driver`] and an [`mcp::ToolClient`], and reports
//! [`model::Event`]s; the hub reduces them and publishes the next fleet, which wakes the console.
//!
//! # Adding things
//!
//! - **A driver**: a file in [`drivers`] with `impl Driver` and `impl Running`, a line in
//!   [`drivers::Installed`], its options in [`model::Mode`] and `config/`; then the contract in
//!   `tests/drivers` must hold for it.
//! - **A pane**: a file in [`console::panes`] with `impl Pane`, a line in `panes::all`.
//! - **An action**: a variant of [`console::action::Action`] with its help line, and a default key.
//! - **A theme**: a file in `themes/`, checked by the tests of [`console::theme`].

pub mod arguments;
mod backoff;
pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod drivers;
pub mod gateway;
pub mod mcp;
pub mod model;
mod nearest;
pub mod orchestrator;
pub mod paths;
pub mod quote;
pub mod runs;
pub mod signals;
pub mod stores;
pub mod telemetry;
