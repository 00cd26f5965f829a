// Command pubsub_emulator serves Pub/Sub's API from memory: pubsub_emulator PORT [METHOD ...].
//
// The methods, such as Pull or Publish, answer PERMISSION_DENIED.
package main

import (
	"log"
	"math"
	"net"
	"os"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

func main() {
	var denied []pstest.ServerReactorOption
	for _, method := range os.Args[2:] {
		denied = append(denied, pstest.WithErrorInjection(method, codes.PermissionDenied, "User not authorized"))
	}
	fake := pstest.NewServer(denied...)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	// A server of its own: the fake's takes no message above 4 MiB.
	server := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32))
	pubsubpb.RegisterPublisherServer(server, &fake.GServer)
	pubsubpb.RegisterSubscriberServer(server, &fake.GServer)
	log.Fatal(server.Serve(listener))
}
