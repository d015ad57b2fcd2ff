package appengine

import (
	"context"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const (
	// watchLimit is when a watch is asked for anew, so that its silence is bounded.
	watchLimit = 5 * time.Minute
	// silenceLimit is how long a watch bears a server that is away.
	silenceLimit = 5 * time.Minute
	// healthyFor makes a stream a good one, though nothing came on it.
	healthyFor = time.Minute
)

// Watch gives every change of a run after a revision, none left out or twice, and ends after the
// run's end. It goes on by itself when the connection is cut. Run is set with the newest event.
func (c *Client) Watch(
	ctx context.Context, runID string, afterRevision int64,
) iter.Seq2[*pb.WatchRunResponse, error] {
	request := &pb.WatchRunRequest{RunId: runID, AfterRevision: afterRevision}
	return following(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchRunResponse], error) {
		return c.Runs.WatchRun(ctx, request)
	}, func(answer *pb.WatchRunResponse) {
		request.AfterRevision = max(request.AfterRevision, answer.GetEvent().GetRevision())
	})
}

// WatchAll gives the changes of all runs that match, from now on, until the caller leaves.
func (c *Client) WatchAll(ctx context.Context, filter *pb.RunFilter) iter.Seq2[*pb.RunEvent, error] {
	request := &pb.WatchRunsRequest{Filter: filter}
	answers := following(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchRunsResponse], error) {
		return c.Runs.WatchRuns(ctx, request)
	}, func(answer *pb.WatchRunsResponse) {
		request.ResumeToken = answer.GetResumeToken()
	})
	return func(yield func(*pb.RunEvent, error) bool) {
		for answer, err := range answers {
			if (err != nil || answer.GetEvent() != nil) && !yield(answer.GetEvent(), err) {
				return
			}
		}
	}
}

// WatchTask gives the task as it is, then after every change, and ends when it is READY, FAILED or
// gone.
func (c *Client) WatchTask(ctx context.Context, task string) iter.Seq2[*pb.Task, error] {
	return func(yield func(*pb.Task, error) bool) {
		name, err := c.taskName(task)
		if err != nil {
			yield(nil, err)
			return
		}
		request := &pb.WatchTaskRequest{Task: name}
		answers := following(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchTaskResponse], error) {
			return c.Tasks.WatchTask(ctx, request)
		}, func(answer *pb.WatchTaskResponse) {
			request.AfterRevision = answer.GetTask().GetRevision()
		})
		for answer, err := range answers {
			if !yield(answer.GetTask(), err) {
				return
			}
		}
	}
}

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	// Attempt is counted from 1; 0 means the newest.
	Attempt int32
	// Cursor is the position of the first byte.
	Cursor int64
	// Follow goes on until the attempt has ended.
	Follow bool
}

// Logs gives what the task printed, piece by piece. Cut connections are mended.
func (c *Client) Logs(ctx context.Context, runID string, options LogOptions) iter.Seq2[[]byte, error] {
	request := &pb.TailLogsRequest{
		RunId: runID, Attempt: options.Attempt, Cursor: options.Cursor, Follow: options.Follow,
	}
	answers := following(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.TailLogsResponse], error) {
		return c.Runs.TailLogs(ctx, request)
	}, func(answer *pb.TailLogsResponse) {
		request.Cursor, request.Attempt = answer.GetNextCursor(), answer.GetAttempt()
	})
	return func(yield func([]byte, error) bool) {
		for answer, err := range answers {
			if (err != nil || len(answer.GetData()) > 0) && !yield(answer.GetData(), err) {
				return
			}
		}
	}
}

// following gives the items of one stream after the other, until one ends well. What is opened again
// after a cut begins behind the last item that was seen.
func following[Item any](
	ctx context.Context,
	open func(context.Context) (grpc.ServerStreamingClient[Item], error),
	see func(*Item),
) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		patience := &patience{stall: silenceLimit}
		for {
			opened := time.Now()
			isWanted, err := followOne(ctx, open, func(item *Item) bool {
				patience.progressed()
				see(item)
				return yield(item, nil)
			})
			if err == nil || !isWanted {
				return
			}
			if time.Since(opened) > healthyFor {
				patience.progressed() // it stood until our own bound on its silence
			}
			if err = patience.wait(ctx, err); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// followOne reads one stream. It answers false when nobody wants more.
func followOne[Item any](
	ctx context.Context,
	open func(context.Context) (grpc.ServerStreamingClient[Item], error),
	take func(*Item) bool,
) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	stream, err := open(ctx)
	for err == nil {
		var item *Item
		if item, err = stream.Recv(); err == nil && !take(item) {
			return false, nil
		}
	}
	if err == io.EOF {
		return true, nil
	}
	return true, err
}
