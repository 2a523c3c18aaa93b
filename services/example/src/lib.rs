//! A service to copy: counts the letters of an item, by REST and by gRPC, on one address. It calls nothing.

use http::StatusCode;
use lab_proto::v1::example_server::{Example, ExampleServer};
use lab_proto::v1::{MeasureReply, MeasureRequest};
use opentelemetry::global;
use opentelemetry::trace::{Span as _, Tracer as _};
use probe::{Context, MakeRoutes, Probe, Refusal, Routes, Service, ServiceConfig, SetupError};
use tonic::{Request, Response, Status};

/// The example service. It has no settings of its own: they would be fields of this.
#[derive(Debug, Clone, clap::Args)]
pub struct ExampleService;

impl Service for ExampleService {
    const NAME: &'static str = "example";
    const PORT: u16 = 8083;

    fn routes(_: ServiceConfig<Self>, _: Probe) -> Result<MakeRoutes, SetupError> {
        let grpc = ExampleServer::new(ExampleService);
        Ok(Box::new(move || Routes::new().post_json("/measure", measure).grpc(grpc.clone())))
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
        // A span of the service's own, by OpenTelemetry: it goes where the spans of hops go, and is a child of this one.
        let request = Context::current().opentelemetry();
        let mut span = global::tracer(ExampleService::NAME).start_with_context("count", &request);
        let letters = item.chars().count() as u64;
        span.end();
        Ok(MeasureReply { letters })
    })
    .await
}

#[tonic::async_trait]
impl Example for ExampleService {
    async fn measure(
        &self,
        request: Request<MeasureRequest>,
    ) -> Result<Response<MeasureReply>, Status> {
        Ok(Response::new(measure(request.into_inner()).await?))
    }
}
