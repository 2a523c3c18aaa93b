// Two services of a shop, by what the JDK has of HTTP and by grpc-java, started with the agent of OpenTelemetry as its
// guide says: nothing of OpenTelemetry is in the program.
//
//   Shop stock                      serves GET /stock and grpc.health
//   Shop front HTTP_URL GRPC_ADDR   serves GET /checkout; asks stock by both
//
// Prints `listening http=PORT [grpc=PORT]` and ends when standard input does.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

public final class Shop {
    private static void reply(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("content-type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    private static String stock(HttpServer http) throws IOException {
        http.createContext("/stock", exchange -> reply(exchange, 200, "{\"items\":3}"));
        HealthStatusManager health = new HealthStatusManager();
        Server server = ServerBuilder.forPort(0).addService(health.getHealthService()).build().start();
        return " grpc=" + server.getPort();
    }

    private static void front(HttpServer http, String url, String address) {
        HttpClient client = HttpClient.newHttpClient();
        var channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
        var stub = HealthGrpc.newBlockingStub(channel);
        http.createContext("/checkout", exchange -> {
            try {
                HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/stock?user=secret")).build();
                client.send(request, HttpResponse.BodyHandlers.ofString());
                stub.check(HealthCheckRequest.getDefaultInstance());
                reply(exchange, 200, "{\"items\":3}");
            } catch (Exception error) {
                reply(exchange, 502, "{\"error\":\"" + error + "\"}");
            }
        });
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        http.setExecutor(Executors.newCachedThreadPool());
        String more = "";
        if (arguments[0].equals("stock")) {
            more = stock(http);
        } else {
            front(http, arguments[1], arguments[2]);
        }
        http.start();
        System.out.println("listening http=" + http.getAddress().getPort() + more);
        while (System.in.read() >= 0) {
        }
        // The agent exports what it holds when the program ends.
        System.exit(0);
    }
}
