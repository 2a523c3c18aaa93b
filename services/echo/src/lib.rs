//! The echo service: answers with what it was sent, by REST and by gRPC, on one address.

use lab_proto::v1::echo_server::{Echo, EchoServer};
use lab_proto::{EchoReply, EchoRequest};
use probe::{LONGEST_BODY, MakeRoutes, Probe, Refusal, Routes, Service, ServiceConfig, SetupError};
use tonic::{Request, Response, Status};

/// The echo service, which has no settings of its own.
#[derive(Debug, Clone, clap::Args)]
pub struct EchoService;

impl Service for EchoService {
    const NAME: &'static str = "echo";
    const PORT: u16 = 8081;

    fn routes(_: ServiceConfig<Self>, _: Probe) -> Result<MakeRoutes, SetupError> {
        let grpc = EchoServer::new(EchoService).max_decoding_message_size(LONGEST_BODY);
        Ok(Box::new(move || Routes::new().post_json("/echo", echo).grpc(grpc.clone())))
    }
}

async fn echo(EchoRequest { payload }: EchoRequest) -> Result<EchoReply, Refusal> {
    probe::handler(async { Ok(EchoReply { payload }) }).await
}

#[tonic::async_trait]
impl Echo for EchoService {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(echo(request.into_inner()).await?))
    }
}
