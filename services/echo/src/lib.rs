//! The echo service: answers with what it was sent, by REST and by gRPC, on one address.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use lab_proto::v1::echo_server::{Echo, EchoServer};
use lab_proto::{EchoReply, EchoRequest, ErrorReply};
use probe::process::ServiceArgs;
use probe::{JsonError, JsonReply, LONGEST_BODY};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::service::Routes;

/// Name of the service in spans.
pub const SERVICE: &str = "echo";

/// Settings of the echo service.
#[derive(Debug, Clone, clap::Args)]
pub struct EchoConfig {
    /// Address to listen on, for REST and gRPC alike; port 0 picks a free one.
    #[arg(long, env = "ECHO_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Settings shared by all services.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Runs the service until `shutdown` completes.
///
/// # Errors
/// The address cannot be bound, or a setting is impossible.
pub async fn run(
    config: EchoConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let serve = async |listener, probe: &_| serve(listener, &config, probe, shutdown).await;
    Ok(probe::process::run(SERVICE, &config.service, config.listen, serve).await?)
}

/// Serves on a bound listener.
///
/// # Errors
/// As [`probe::serve`].
pub async fn serve(
    listener: TcpListener,
    config: &EchoConfig,
    probe: &probe::Probe,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<EchoServer<EchoService>>().await;
    let grpc = EchoServer::new(EchoService)
        .max_decoding_message_size(LONGEST_BODY)
        .max_encoding_message_size(LONGEST_BODY);
    let routes = Routes::new(grpc).add_service(health).into_axum_router();
    let routes =
        Router::new().route("/echo", post(echo)).route("/healthz", get(healthz)).merge(routes);
    probe::serve(listener, routes, probe, config.service.server_options(), shutdown).await
}

async fn healthz() -> Response {
    let status = json!({"status": "ok", "service": SERVICE, "version": env!("CARGO_PKG_VERSION")});
    JsonReply(StatusCode::OK, status).into_response()
}

async fn echo(request: Request<Body>) -> Response {
    match probe::read_json::<EchoRequest, _>(request.into_body(), LONGEST_BODY).await {
        Ok(request) => {
            let reply = probe::handler(async { EchoReply { payload: request.payload } }).await;
            JsonReply(StatusCode::OK, reply).into_response()
        }
        Err(error) => {
            let status = match &error {
                JsonError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                JsonError::Read(_) | JsonError::Malformed(_) => StatusCode::BAD_REQUEST,
            };
            JsonReply(status, ErrorReply { error: error.to_string() }).into_response()
        }
    }
}

/// The gRPC side.
#[derive(Debug, Clone, Copy)]
struct EchoService;

#[tonic::async_trait]
impl Echo for EchoService {
    async fn echo(
        &self,
        request: tonic::Request<EchoRequest>,
    ) -> Result<tonic::Response<EchoReply>, Status> {
        let payload = request.into_inner().payload;
        Ok(tonic::Response::new(probe::handler(async { EchoReply { payload } }).await))
    }
}
