// The lab's gateway as its ping routes have it: a payload of letters and digits of the size asked for, through the
// echo by REST or gRPC over connections that are kept, answered in JSON.
//
// gateway LISTEN ECHO_REST ECHO_GRPC
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"math/rand/v2"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"hoplab/peers/lab"
)

const (
	longest  = 17 << 20
	largest  = 16 << 20
	pool     = 4 << 20
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

type ping struct {
	Size *int `json:"size" binding:"required,min=0,max=16777216"`
}

type message struct {
	Payload string `json:"payload"`
}

type pong struct {
	From     string `json:"from"`
	Protocol string `json:"protocol"`
	Size     int    `json:"size"`
	Payload  string `json:"payload"`
}

var letters = func() string {
	made := make([]byte, largest+pool)
	for at := range pool {
		made[at] = alphabet[rand.IntN(len(alphabet))]
	}
	for at := pool; at < len(made); at++ {
		made[at] = made[at-pool]
	}
	return string(made)
}()

func slice(size int) string {
	start := rand.IntN(pool)
	return letters[start : start+size]
}

func main() {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}
	echoURL := "http://" + os.Args[2] + "/echo"
	byREST := func(c *gin.Context, sent string) (string, error) {
		body, err := json.Marshal(message{sent})
		if err != nil {
			return "", err
		}
		request, err := http.NewRequestWithContext(c.Request.Context(), http.MethodPost, echoURL, bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		request.Header.Set("Content-Type", "application/json")
		reply, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer reply.Body.Close()
		var got message
		err = json.NewDecoder(reply.Body).Decode(&got)
		return got.Payload, err
	}

	connection, err := grpc.NewClient(os.Args[3],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(longest), grpc.MaxCallSendMsgSize(longest)))
	if err != nil {
		log.Fatal(err)
	}
	echo := lab.NewEchoClient(connection)
	byGRPC := func(c *gin.Context, sent string) (string, error) {
		reply, err := echo.Echo(c.Request.Context(), &lab.EchoRequest{Payload: sent})
		if err != nil {
			return "", err
		}
		return reply.Payload, nil
	}

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	route := func(protocol string, call func(*gin.Context, string) (string, error)) {
		router.POST("/"+protocol+"/ping", func(c *gin.Context) {
			var request ping
			if err := c.ShouldBindJSON(&request); err != nil {
				c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
				return
			}
			payload, err := call(c, slice(*request.Size))
			if err != nil {
				c.JSON(http.StatusBadGateway, gin.H{"error": err.Error()})
				return
			}
			c.JSON(http.StatusOK, pong{"gateway", protocol, *request.Size, payload})
		})
	}
	route("rest", byREST)
	route("grpc", byGRPC)
	router.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	log.Fatal(http.ListenAndServe(os.Args[1], router))
}
