//! The echo service as the ping routes call it.

use lab_proto::v1::echo_client::EchoClient;
use lab_proto::{EchoReply, EchoRequest};
use probe::{Call, LONGEST_BODY};

use crate::reply::Refusal;
use crate::upstream::Upstream;

/// Name of the called service in spans.
pub(crate) const PEER: &str = "echo";

/// Sends `payload` by REST and answers what came back.
pub(crate) async fn rest(echo: &Upstream, payload: String) -> Result<String, Refusal> {
    let request = EchoRequest { payload };
    let call = echo.rest.post_json::<_, EchoReply>("/echo", &request, Call::default());
    let reply = echo.in_time(call).await?;
    reply.map(|reply| reply.payload).map_err(|error| echo.rest_failed(&error))
}

/// Sends `payload` by gRPC and answers what came back.
pub(crate) async fn grpc(echo: &Upstream, payload: String) -> Result<String, Refusal> {
    let call = echo.grpc.unary("lab.v1.Echo/Echo", Call::default(), |channel| async move {
        let mut client = EchoClient::new(channel)
            .max_decoding_message_size(LONGEST_BODY)
            .max_encoding_message_size(LONGEST_BODY);
        client.echo(EchoRequest { payload }).await
    });
    let reply = echo.in_time(call).await?;
    reply.map(|reply| reply.into_inner().payload).map_err(|status| echo.grpc_failed(&status))
}
