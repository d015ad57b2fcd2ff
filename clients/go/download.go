package appengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// maxRestarts is how often a download begins anew because the content has changed meanwhile.
const maxRestarts = 3

// Fetched is what a download brought.
type Fetched struct {
	// Names are the entries that are new in the folder, sorted.
	Names []string
	Bytes int64
	Files int
}

// DownloadOutputs fetches the outputs of a run that SUCCEEDED, each under its own name.
func (c *Client) DownloadOutputs(
	ctx context.Context, runID, folder string, options TransferOptions,
) (Fetched, error) {
	outputs := &pb.Resource_RunOutputs{RunOutputs: runID}
	return c.Download(ctx, &pb.Resource{Resource: outputs}, folder, options)
}

// DownloadInputs fetches the inputs of a run.
func (c *Client) DownloadInputs(
	ctx context.Context, runID, folder string, options TransferOptions,
) (Fetched, error) {
	inputs := &pb.Resource_RunInputs{RunInputs: runID}
	return c.Download(ctx, &pb.Resource{Resource: inputs}, folder, options)
}

// Download fetches a resource into a folder, which is made when it is missing. What has the same name
// there is replaced. Nothing is there before all has arrived and every checksum was tested. When the
// process is killed, or nothing came any more, the next download of the same resource into the same
// folder goes on with what has come.
func (c *Client) Download(
	ctx context.Context, resource *pb.Resource, folder string, options TransferOptions,
) (Fetched, error) {
	parts, err := takeParts(folder, resource)
	if err != nil {
		return Fetched{}, err
	}
	isWorthKeeping := false
	defer func() { parts.leave(isWorthKeeping) }()
	for restart := 0; ; restart++ {
		pull := &pull{client: c, resource: resource, patience: options.patience(), report: options.OnProgress}
		err := pull.run(ctx, parts)
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Reason == reasonETag && restart < maxRestarts {
			err = parts.clear()
			if err == nil {
				continue
			}
		}
		if err != nil {
			isWorthKeeping = ctx.Err() == nil && isResumable(err)
			return Fetched{}, err
		}
		return pull.moveInto(folder, parts.old())
	}
}

// pull is one resource on its way into one folder of ours.
type pull struct {
	client   *Client
	resource *pb.Resource
	patience *patience
	report   func(Progress)
	writer   *treeWriter
	notes    *notes // nil where nobody could go on with the parts
}

func (p *pull) run(ctx context.Context, parts *parts) error {
	if err := p.open(parts); err != nil {
		return err
	}
	defer p.close()
	for {
		before := p.writer.at
		err := p.receive(ctx)
		if err == nil && p.writer.isComplete() {
			return p.writer.finish()
		}
		if err == nil {
			err = cut("the download ended before its end")
		}
		if p.writer.at != before {
			p.patience.progressed()
		}
		if isResumable(err) {
			p.tell(err)
		}
		if err = p.patience.wait(ctx, err); err != nil {
			return err
		}
	}
}

// open begins to write into the parts: where a killed process was, or at the beginning.
func (p *pull) open(parts *parts) error {
	p.writer = newTreeWriter(parts.fresh())
	if parts.lock == nil {
		return parts.clear()
	}
	var err error
	if p.notes, err = openNotes(parts.notes(), p.writer.recall); err == nil && p.writer.end != nil {
		if err = p.writer.dropTheRest(); err == nil {
			return nil
		}
	}
	p.close() // nothing was noted, or it is not what lies there
	if err := parts.clear(); err != nil {
		return err
	}
	p.writer = newTreeWriter(parts.fresh())
	p.notes, err = openNotes(parts.notes(), p.writer.recall)
	return err
}

func (p *pull) close() {
	p.writer.close()
	if p.notes != nil {
		p.notes.close()
		p.notes = nil
	}
}

func (p *pull) apply(message *pb.DownloadResponse) error {
	err := p.writer.apply(message)
	if err == nil && p.notes != nil {
		err = p.notes.add(message, p.writer.at)
	}
	return err
}

// receive writes what one stream brings; while a message is written, the next one arrives.
func (p *pull) receive(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := p.client.watchdog(cancel, stallLimit)
	defer watchdog.Stop()
	stream, err := p.client.Storage.Download(ctx, &pb.DownloadRequest{
		Resource: p.resource, From: p.writer.at.message(), Etag: p.writer.etag,
	})
	if err != nil {
		return err
	}
	arrived, written := make(chan *pb.DownloadResponse, 1), make(chan error, 1)
	go func() {
		var failure error
		for message := range arrived {
			if failure == nil {
				if failure = p.apply(message); failure != nil {
					cancel(nil)
				} else {
					p.tell(nil)
				}
			}
		}
		written <- failure
	}()
	for err == nil {
		var message *pb.DownloadResponse
		watchdog.Reset(stallLimit)
		if message, err = stream.Recv(); err == nil {
			arrived <- message
		}
	}
	close(arrived)
	if failure := <-written; failure != nil {
		return failure
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (p *pull) tell(because error) {
	if p.report != nil {
		at, end := p.writer.at, place{}
		if p.writer.end != nil {
			end = *p.writer.end
		}
		p.report(Progress{at.bytes, end.bytes, at.entries, end.entries, because})
	}
}

// moveInto puts what has come into the target; what it replaces goes with the parts.
func (p *pull) moveInto(target, old string) (Fetched, error) {
	inside, err := os.ReadDir(p.writer.folder)
	if err != nil {
		return Fetched{}, err
	}
	fetched := Fetched{Bytes: p.writer.at.bytes, Files: p.writer.files}
	for _, one := range inside {
		name := one.Name()
		final := filepath.Join(target, name)
		if err := os.Rename(final, filepath.Join(old, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return Fetched{}, fmt.Errorf("%s cannot be replaced: %w", final, err)
		}
		if err := os.Rename(filepath.Join(p.writer.folder, name), final); err != nil {
			return Fetched{}, fmt.Errorf("%s cannot be replaced: %w", final, err)
		}
		fetched.Names = append(fetched.Names, name)
	}
	return fetched, nil
}
