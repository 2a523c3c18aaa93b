//! The echo service: answers with what it was sent, by REST and by gRPC, on one address.

use std::net::SocketAddr;

use http::StatusCode;
use lab_proto::v1::echo_server::{Echo, EchoServer};
use lab_proto::{EchoReply, EchoRequest};
use probe::{JsonBody, JsonReply, LONGEST_BODY, Probe, Routes, Service, ServiceArgs, SetupError};
use tonic::{Request, Response, Status};

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

impl Service for EchoConfig {
    const NAME: &'static str = "echo";

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn shared(&self) -> &ServiceArgs {
        &self.service
    }

    fn routes(self, _: Probe) -> Result<impl Fn() -> Routes + Send + Sync + 'static, SetupError> {
        let grpc = EchoServer::new(Grpc)
            .max_decoding_message_size(LONGEST_BODY)
            .max_encoding_message_size(LONGEST_BODY);
        Ok(move || Routes::new().post("/echo", rest).grpc(grpc.clone()))
    }
}

async fn echo(EchoRequest { payload }: EchoRequest) -> EchoReply {
    probe::handler(async { EchoReply { payload } }).await
}

async fn rest(JsonBody(request): JsonBody<EchoRequest>) -> JsonReply<EchoReply> {
    JsonReply(StatusCode::OK, echo(request).await)
}

/// The gRPC side.
#[derive(Debug, Clone, Copy)]
struct Grpc;

#[tonic::async_trait]
impl Echo for Grpc {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(echo(request.into_inner()).await))
    }
}
