// Package appengine is a client of App Engine, which runs containerised image-analysis tasks.
//
//	client, err := appengine.Connect(appengine.Options{Server: "engine.example.org:8080"})
//	if err != nil { … }
//	defer client.Close()
//	run, err := client.CreateRun(ctx, "com.example.nuclei:1.0.0", appengine.Inputs{
//		"image":    appengine.File("a.png"),
//		"min_area": appengine.Integer(20),
//	}, appengine.RunOptions{Start: true})
//	run, err = client.Wait(ctx, run.GetId())
//	fetched, err := client.DownloadOutputs(ctx, run.GetId(), "results", appengine.TransferOptions{})
//
// Calls are tried again where that helps, transfers and watches go on where a cut connection
// stopped, and what a server refuses is an [*Error], for [errors.As]. Answers are the API's own
// messages, of the package appenginev1.
package appengine

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// Client talks to one server. It may be used by several goroutines at once.
type Client struct {
	// Tasks, Runs and Storage are the API itself, with this client's token, retries and errors. A
	// creating request without a request id gets one, so that sending it twice does no harm.
	Tasks   pb.TaskServiceClient
	Runs    pb.RunServiceClient
	Storage pb.StorageServiceClient

	settings     settings
	connection   *grpc.ClientConn
	wasReached   atomic.Bool
	capabilities struct {
		sync.Mutex
		known *pb.GetCapabilitiesResponse
	}
}

// Connect makes a client of one server. Nothing is sent before the first call.
func Connect(options Options) (*Client, error) {
	settings, err := readSettings(options)
	if err != nil {
		return nil, err
	}
	client := &Client{settings: settings}
	if client.connection, err = client.dial(); err != nil {
		return nil, err
	}
	client.Tasks = pb.NewTaskServiceClient(client.connection)
	client.Runs = pb.NewRunServiceClient(client.connection)
	client.Storage = pb.NewStorageServiceClient(client.connection)
	return client, nil
}

// Close ends the connection; what is under way is cancelled.
func (c *Client) Close() error {
	return c.connection.Close()
}

// Capabilities answers the limits of the server, which is asked once.
func (c *Client) Capabilities(ctx context.Context) (*pb.GetCapabilitiesResponse, error) {
	c.capabilities.Lock()
	defer c.capabilities.Unlock()
	if c.capabilities.known == nil {
		answer, err := c.Storage.GetCapabilities(ctx, &pb.GetCapabilitiesRequest{})
		if err != nil {
			return nil, err
		}
		c.capabilities.known = answer
	}
	return c.capabilities.known, nil
}
