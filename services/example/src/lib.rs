//! A service to copy: counts the letters of an item, by REST and by gRPC, on one address. It calls nothing.

use std::net::SocketAddr;

use http::StatusCode;
use lab_proto::v1::example_server::{Example, ExampleServer};
use lab_proto::v1::{MeasureReply, MeasureRequest};
use probe::{JsonBody, JsonReply, Probe, Refusal, Routes, Service, ServiceArgs, SetupError};
use tonic::{Request, Response, Status};

/// Settings of the example service.
#[derive(Debug, Clone, clap::Args)]
pub struct ExampleConfig {
    /// Address to listen on, for REST and gRPC alike; port 0 picks a free one.
    #[arg(long, env = "EXAMPLE_LISTEN", default_value = "127.0.0.1:8083", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Settings shared by all services.
    #[command(flatten)]
    pub service: ServiceArgs,
}

impl Service for ExampleConfig {
    const NAME: &'static str = "example";

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn shared(&self) -> &ServiceArgs {
        &self.service
    }

    fn routes(self, _: Probe) -> Result<impl Fn() -> Routes + Send + Sync + 'static, SetupError> {
        Ok(|| Routes::new().post("/measure", rest).grpc(ExampleServer::new(Grpc)))
    }
}

/// What the service does. Inside `probe::handler` it is the stage *handler* of its caller's hop; decoding
/// and encoding, which happen outside, are stages of their own.
async fn measure(MeasureRequest { item }: MeasureRequest) -> Result<MeasureReply, Refusal> {
    probe::handler(async {
        if item.is_empty() {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "item: empty; give at least one letter",
            ));
        }
        Ok(MeasureReply { letters: item.chars().count() as u64 })
    })
    .await
}

async fn rest(
    JsonBody(request): JsonBody<MeasureRequest>,
) -> Result<JsonReply<MeasureReply>, Refusal> {
    Ok(JsonReply(StatusCode::OK, measure(request).await?))
}

/// The gRPC side.
#[derive(Debug, Clone, Copy)]
struct Grpc;

#[tonic::async_trait]
impl Example for Grpc {
    async fn measure(
        &self,
        request: Request<MeasureRequest>,
    ) -> Result<Response<MeasureReply>, Status> {
        Ok(Response::new(measure(request.into_inner()).await?))
    }
}
