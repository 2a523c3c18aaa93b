// Answers with what it was sent: by REST on the first address, by gRPC on the second.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	"google.golang.org/grpc"

	"hoplab/peers/lab"
)

const longest = 17 << 20

type payload struct {
	Payload string `json:"payload"`
}

type server struct {
	lab.UnimplementedEchoServer
}

func (server) Echo(_ context.Context, request *lab.EchoRequest) (*lab.EchoReply, error) {
	return &lab.EchoReply{Payload: request.Payload}, nil
}

func main() {
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer(grpc.MaxRecvMsgSize(longest), grpc.MaxSendMsgSize(longest))
	lab.RegisterEchoServer(grpcServer, server{})
	go func() { log.Fatal(grpcServer.Serve(listener)) }()

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/echo", func(c *gin.Context) {
		var request payload
		if err := c.ShouldBindJSON(&request); err != nil {
			c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
			return
		}
		c.JSON(http.StatusOK, request)
	})
	router.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	log.Fatal(http.ListenAndServe(os.Args[1], router))
}
