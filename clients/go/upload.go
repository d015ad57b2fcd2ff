package appengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const (
	// keepAlivePause is how long the local disk may bring nothing before an empty chunk is sent.
	keepAlivePause = 20 * time.Second
	// stallLimit ends a stream on which nothing moves, so that it is resumed on a new one.
	stallLimit = time.Minute
	// finishLimit is how long the server may check what it got: it reads everything once more.
	finishLimit = time.Hour
	dropLimit   = 2 * time.Second
)

// UploadBundle sends the bundle of a task, and answers the finished upload.
func (c *Client) UploadBundle(ctx context.Context, bundle string, options TransferOptions) (*pb.Upload, error) {
	entries, err := listed("bundle.zip", bundle)
	if err != nil {
		return nil, err
	}
	target := &pb.StartUploadRequest_TaskBundle{
		TaskBundle: &pb.TaskBundleTarget{Project: c.settings.project},
	}
	return c.upload(ctx, &pb.StartUploadRequest{Target: target}, entries, options)
}

// uploadInput sends an input of a run, which provisions it.
func (c *Client) uploadInput(
	ctx context.Context, runID, parameter string, part pb.InputPart, entries []entry, options TransferOptions,
) (*pb.Upload, error) {
	target := &pb.StartUploadRequest_Input{
		Input: &pb.InputTarget{RunId: runID, Parameter: parameter, Part: part},
	}
	return c.upload(ctx, &pb.StartUploadRequest{Target: target}, entries, options)
}

func (c *Client) upload(
	ctx context.Context, request *pb.StartUploadRequest, entries []entry, options TransferOptions,
) (*pb.Upload, error) {
	outline := outlineOf(entries)
	request.ExpectedBytes = outline.end.bytes
	request.RequestId = options.RequestID
	started, err := c.Storage.StartUpload(ctx, request)
	if err != nil {
		return nil, err
	}
	push := &push{
		client:   c,
		state:    uploadState{outline: outline, chunkBytes: int64(started.GetChunkBytes())},
		uploadID: started.GetUploadId(),
		writerID: newID(),
		patience: options.patience(),
		report:   options.OnProgress,
	}
	if push.state.chunkBytes <= 0 || push.state.chunkBytes > defaultChunkBytes {
		push.state.chunkBytes = defaultChunkBytes
	}
	finished, err := push.run(ctx, options.RequestID != "")
	var local *localError
	if errors.As(err, &local) || (ctx.Err() != nil && options.RequestID == "") {
		c.dropUpload(ctx, push.uploadID)
	}
	return finished, err
}

// dropUpload frees the server's disk. What fails here expires by itself.
func (c *Client) dropUpload(ctx context.Context, uploadID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
	defer cancel()
	_, _ = c.Storage.CancelUpload(ctx, &pb.CancelUploadRequest{UploadId: uploadID})
}

// push is one source on its way to one upload. The writer is the same through all resumptions.
type push struct {
	client   *Client
	state    uploadState
	uploadID string
	writerID string
	patience *patience
	report   func(Progress)
}

// localError is of this machine's files: no second try mends it.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// run sends everything and finishes the upload; with resume it asks first what the server holds.
func (p *push) run(ctx context.Context, resume bool) (*pb.Upload, error) {
	for ; ; resume = true {
		if resume {
			finished, err := p.rewind(ctx)
			if finished != nil || !(err == nil || isResumable(err)) {
				return finished, err
			}
			if err != nil {
				if err = p.patience.wait(ctx, err); err != nil {
					return nil, err
				}
				continue
			}
		}
		finished, err := p.send(ctx)
		if err == nil {
			return finished, nil
		}
		if isResumable(err) {
			p.tell(p.state.persisted, err)
		}
		if err = p.patience.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// rewind asks how far the server is; the upload is answered if it is finished already.
func (p *push) rewind(ctx context.Context) (*pb.Upload, error) {
	answer, err := p.client.Storage.GetUpload(ctx, &pb.GetUploadRequest{UploadId: p.uploadID})
	if err != nil {
		return nil, err
	}
	upload := answer.GetUpload()
	switch upload.GetState() {
	case pb.UploadState_UPLOAD_STATE_FINISHED:
		return upload, nil
	case pb.UploadState_UPLOAD_STATE_OPEN:
		progressed, err := p.state.rewind(placeOf(upload.GetPersisted()))
		if progressed {
			p.patience.progressed()
		}
		return nil, err
	default:
		return nil, broken("the upload %s was refused or cancelled: start a new one", p.uploadID)
	}
}

// send makes one stream, from what the server holds to the end.
func (p *push) send(ctx context.Context) (*pb.Upload, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := p.client.watchdog(cancel, stallLimit)
	defer watchdog.Stop()
	stream, err := p.client.Storage.Upload(ctx)
	if err != nil {
		return nil, err
	}
	begin := &pb.UploadBegin{UploadId: p.uploadID, WriterId: p.writerID}
	err = stream.Send(&pb.UploadRequest{Begin: begin})
	for made := range p.readAhead(ctx) {
		if err != nil {
			break
		}
		if made.err != nil {
			return nil, &localError{made.err}
		}
		watchdog.Reset(stallLimit)
		if err = stream.Send(&pb.UploadRequest{Chunk: made.chunk}); err == nil {
			p.tell(made.after, nil)
		}
	}
	if err == nil {
		watchdog.Reset(finishLimit)
		err = stream.Send(&pb.UploadRequest{Finish: &pb.UploadFinish{End: p.state.outline.end.message()}})
	}
	if err != nil && err != io.EOF { // io.EOF: the server has answered already, which is read below
		return nil, err
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetUpload(), err
}

// made is a chunk that was read, or why it could not be.
type made struct {
	chunk *pb.Chunk
	after place
	err   error
}

// readAhead gives all chunks in order; while one is sent, the next one is read. It gives empty ones
// where the disk is slow.
func (p *push) readAhead(ctx context.Context) <-chan made {
	read, given := make(chan made), make(chan made)
	go p.readAll(ctx, read)
	go func() {
		defer close(given)
		at := p.state.persisted
		for {
			var next made
			select {
			case one, more := <-read:
				if !more {
					return
				}
				next, at = one, one.after
			case <-time.After(keepAlivePause):
				next = made{chunk: &pb.Chunk{Place: at.message()}, after: at}
			}
			select {
			case given <- next:
			case <-ctx.Done():
				return
			}
		}
	}()
	return given
}

func (p *push) readAll(ctx context.Context, read chan<- made) {
	defer close(read)
	reader := newChunkReader(p.state.outline.entries)
	defer reader.close()
	at, endAgain := p.state.persisted, true
	for at != p.state.outline.end && ctx.Err() == nil {
		plan := p.state.outline.plan(at, p.state.chunkBytes, endAgain)
		at, endAgain = plan.after, false
		chunk, err := reader.chunk(plan)
		select {
		case read <- made{chunk, plan.after, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *push) tell(at place, because error) {
	if p.report != nil {
		end := p.state.outline.end
		p.report(Progress{at.bytes, end.bytes, p.state.outline.filesBefore(at), end.entries, because})
	}
}

// watchdog ends a stream on which nothing moves.
func (c *Client) watchdog(cancel context.CancelCauseFunc, limit time.Duration) *time.Timer {
	return time.AfterFunc(limit, func() {
		cancel(&Error{
			Code:    codes.Unavailable,
			Message: fmt.Sprintf("the server %s moved nothing for %v", c.settings.target, limit),
		})
	})
}
