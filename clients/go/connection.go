package appengine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const (
	mib             = 1 << 20
	maxMessageBytes = 4 * mib
	// windowBytes is what the server may send ahead of us: 80 MiB/s over a line with 0.1 s of round
	// trip.
	windowBytes = 8 * mib
	// bufferBytes lets a chunk go by few system calls.
	bufferBytes = 256 << 10
)

func (c *Client) dial() (*grpc.ClientConn, error) {
	transport, err := c.settings.transport()
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(c.callWithRetries),
		grpc.WithStreamInterceptor(c.openStream),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		// gRPC's own pause grows to two minutes; ours is at most 5 s, and it asks again then.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstPause, Multiplier: 2, Jitter: 0.2, MaxDelay: longestPause,
			},
			MinConnectTimeout: 10 * time.Second,
		}),
		grpc.WithInitialWindowSize(windowBytes),
		grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithReadBufferSize(bufferBytes),
	}
	if c.settings.isLoopback() {
		// A proxy that is set for the web must not come between two programs on one machine.
		options = append(options, grpc.WithNoProxy())
	}
	return grpc.NewClient("passthrough:///"+c.settings.target, options...)
}

func (s settings) transport() (credentials.TransportCredentials, error) {
	if !s.tls {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.ca != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(s.ca) {
			return nil, errors.New("the CA certificate is no PEM certificate")
		}
	}
	return credentials.NewTLS(config), nil
}

// identified adds who calls, and an id for the logs.
func (c *Client) identified(ctx context.Context, requestID string) context.Context {
	if c.settings.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.settings.token)
	}
	return metadata.AppendToOutgoingContext(ctx, "x-request-id", requestID)
}

func (c *Client) callWithRetries(
	ctx context.Context, method string, request, reply any,
	connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	giveRequestID(request)
	requestID := newID()
	tries := tries{most: 4, limit: limitOf(method)}
	if c.wasReached.Load() {
		tries.most = 1000 // it may be about to start again, so only the time counts
	}
	err := tries.run(ctx, func(ctx context.Context) *Error {
		err := invoke(c.identified(ctx, requestID), method, request, reply, connection, options...)
		return c.refusal(ctx, err, requestID)
	})
	if err != nil {
		return err
	}
	c.wasReached.Store(true)
	return nil
}

// openStream opens a stream without retries: whoever reads it knows how to go on.
func (c *Client) openStream(
	ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn,
	method string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	requestID := newID()
	stream, err := open(c.identified(ctx, requestID), description, connection, method, options...)
	if refusal := c.refusal(ctx, err, requestID); refusal != nil {
		return nil, refusal
	}
	return &refusingStream{ClientStream: stream, client: c, requestID: requestID}, nil
}

// refusingStream gives errors of ours in the place of gRPC's.
type refusingStream struct {
	grpc.ClientStream
	client    *Client
	requestID string
}

func (s *refusingStream) RecvMsg(message any) error {
	return s.translated(s.ClientStream.RecvMsg(message))
}

func (s *refusingStream) SendMsg(message any) error {
	return s.translated(s.ClientStream.SendMsg(message))
}

func (s *refusingStream) translated(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return s.client.refusal(s.Context(), err, s.requestID)
}

// giveRequestID makes a creating request one that may be sent twice.
func giveRequestID(request any) {
	switch request := request.(type) {
	case *pb.CreateTaskRequest:
		request.RequestId = idOr(request.RequestId)
	case *pb.CreateRunRequest:
		request.RequestId = idOr(request.RequestId)
	case *pb.RetryRunRequest:
		request.RequestId = idOr(request.RequestId)
	case *pb.StartUploadRequest:
		request.RequestId = idOr(request.RequestId)
	}
}

func idOr(given string) string {
	if given == "" {
		return newID()
	}
	return given
}

func newID() string { return uuid.NewString() }

// taskName reads NAMESPACE:VERSION, or a task's id.
func (c *Client) taskName(task string) (*pb.TaskName, error) {
	for i := len(task) - 1; i >= 0; i-- {
		if task[i] == ':' && i > 0 && i < len(task)-1 {
			return &pb.TaskName{Project: c.settings.project, Namespace: task[:i], Version: task[i+1:]}, nil
		}
	}
	if uuid.Validate(task) != nil {
		return nil, fmt.Errorf("%q is no task: give NAMESPACE:VERSION, or a task's id", task)
	}
	return &pb.TaskName{Id: task, Project: c.settings.project}, nil
}
