//! Pure data: what exists, what happened, what is asked. No tokio, no terminal, no protocol crates.

mod call;
mod command;
mod container;
mod event;
pub mod fact;
mod failure;
mod fleet;
mod gateway;
mod http_server;
mod ids;
mod phase;
mod reach;
mod sandbox;
mod spec;

pub use call::{Call, CallState, Caller, Obedience, Outcome, Progress, ToolCall, ToolSpec};
pub use command::{Ask, Command, WindowSize};
pub use container::{
    ContainerOptions, Device, DeviceRate, DeviceRequest, DeviceWeight, Devices, ExtraHost,
    HealthCheck, HealthTest, HostMount, Isolation, Logging, Mount, MountSource, Network,
    OWN_LABELS, Port, Propagation, Protocol, PublishedPort, Pull, Relabel, Resources, Seccomp,
    Storage, Swap, Template, TemplateWay, Ulimit, VolumeMount,
};
pub use event::{Event, Happening, Level, Notice};
pub use failure::{Cause, Exit, Failure, Stage};
pub use fleet::{
    BackendInfo, DeathCard, Era, Fleet, Health, Instance, Probe, SHARED_SESSION, Sample,
    ServerInfo, Session, Traffic,
};
pub use gateway::{GatewayInfo, GatewayOptions};
pub(crate) use http_server::place;
pub use http_server::{HttpServer, OAuthClient};
pub use ids::{BackendName, CallId, InstanceId, ResultId, RunId, SessionId};
pub use phase::Phase;
pub use reach::Reach;
pub use sandbox::{
    HostPathMode, Install, Sandbox, SandboxNetwork, SandboxPhase, SandboxProfile, SandboxRuntime,
    SandboxTenant, Sharing, Staging,
};
pub use spec::{
    Backend, HealthPolicy, Limits, LocalDocker, LocalProcess, Mode, RemoteApi, RemoteAuth,
    RemoteHttpApi, RestartPolicy, Scope, Secret, StartupCheck, Transport,
};
