// Two services of a shop, as the guides of OpenTelemetry for Go set one up: net/http and grpc-go with their
// instrumentation, exporters with defaults. In Go the program, not the environment, chooses between gRPC and
// HTTP, unless it asks autoexport to: so this one does.
//
//	shop stock                      serves GET /stock and grpc.health
//	shop front HTTP_URL GRPC_ADDR   serves GET /checkout; asks stock by both
//	shop echo                       serves POST /echo, which sends back what it was sent
//
// Prints `listening http=PORT [grpc=PORT]` and ends when standard input does.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

func stock(mux *http.ServeMux) string {
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":3}`) })
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener := listen()
	go server.Serve(listener)
	return fmt.Sprintf(" grpc=%d", port(listener))
}

func front(mux *http.ServeMux, url, address string) {
	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}
	connection, err := grpc.NewClient(address, grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	stub := grpc_health_v1.NewHealthClient(connection)
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		request, _ := http.NewRequestWithContext(r.Context(), "GET", url+"/stock?user=secret", nil)
		reply, err := client.Do(request)
		if err == nil {
			_, err = io.Copy(io.Discard, reply.Body)
			reply.Body.Close()
		}
		if err == nil {
			_, err = stub.Check(r.Context(), &grpc_health_v1.HealthCheckRequest{})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, `{"items":3}`)
	})
}

func echo(mux *http.ServeMux) {
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		// A server of HTTP/1.1 throws away what it has not read when it begins to answer.
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
}

func main() {
	exporter, err := autoexport.NewSpanExporter(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	mux, more := http.NewServeMux(), ""
	switch os.Args[1] {
	case "stock":
		more = stock(mux)
	case "echo":
		echo(mux)
	default:
		front(mux, os.Args[2], os.Args[3])
	}
	listener := listen()
	go http.Serve(listener, otelhttp.NewHandler(mux, "server"))
	fmt.Printf("listening http=%d%s\n", port(listener), more)
	io.Copy(io.Discard, os.Stdin)
	if err := provider.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}
