package appengine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// limitOf is how long one call may take with all its tries.
func limitOf(method string) time.Duration {
	switch method[strings.LastIndexByte(method, '/')+1:] {
	case "CreateTask": // reads the bundle's table of contents and its descriptor
		return 5 * time.Minute
	case "CreateRun", "ProvisionInputs", "StartRun", "RetryRun", "DeleteRun": // move files
		return time.Minute
	default:
		return 15 * time.Second
	}
}

// tries say how often one call is tried, and for how long in all.
type tries struct {
	most  int
	limit time.Duration
}

// run calls until it succeeds, may not be tried again, or time is up. Every call has a request id or
// may be repeated, so a second try does no harm.
func (t tries) run(ctx context.Context, call func(context.Context) *Error) error {
	deadline := time.Now().Add(t.limit)
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for failures := 1; ; failures++ {
		refusal := call(limited)
		if refusal == nil {
			return nil
		}
		pause := pauseAfter(failures, refusal)
		if failures >= t.most || !refusal.isWorthAnotherTry(failures) ||
			time.Now().Add(pause).After(deadline) || !sleep(ctx, pause) {
			return endedBy(ctx, refusal)
		}
	}
}

func (e *Error) isWorthAnotherTry(failures int) bool {
	switch e.Code {
	case codes.Unavailable, codes.DeadlineExceeded:
		return e.Reason != ReasonTLS
	case codes.ResourceExhausted:
		return e.RetryAfter > 0
	case codes.Internal:
		return failures == 1
	default:
		return false
	}
}

// isResumable says whether a stream that ended so can go on from the place that was reached.
func isResumable(err error) bool {
	var refusal *Error
	if !errors.As(err, &refusal) {
		var transfer *TransferError
		return errors.As(err, &transfer) && transfer.isCut
	}
	switch refusal.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal:
		return refusal.Reason != ReasonTLS
	case codes.Unknown, codes.Canceled: // proxies and cut connections also give these
		return true
	case codes.Aborted, codes.OutOfRange:
		return slices.Contains([]string{"CHUNK_CORRUPT", "UPLOAD_PLACE", "UPLOAD_STALLED"}, refusal.Reason)
	case codes.ResourceExhausted:
		return refusal.RetryAfter > 0
	default:
		return false
	}
}

// patience says how long a stream is tried again: without limit while it makes progress.
type patience struct {
	stall    time.Duration
	failures int
	since    time.Time
}

func (p *patience) progressed() { p.failures, p.since = 0, time.Time{} }

// wait pauses before the next try, or answers the error when it cannot or should not go on.
func (p *patience) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil || !isResumable(err) {
		return endedBy(ctx, err)
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.failures++
	var refusal *Error
	errors.As(err, &refusal)
	pause := pauseAfter(p.failures, refusal)
	if time.Since(p.since)+pause > p.stall || !sleep(ctx, pause) {
		return endedBy(ctx, err)
	}
	return nil
}

// pauseAfter grows with full jitter, so that many clients do not come back at once; what the server
// says wins.
func pauseAfter(failures int, refusal *Error) time.Duration {
	if refusal != nil && refusal.RetryAfter > 0 {
		return refusal.RetryAfter
	}
	longest := min(firstPause<<min(failures-1, 16), longestPause)
	return rand.N(longest)
}

// sleep answers false when the context ends before the pause.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
