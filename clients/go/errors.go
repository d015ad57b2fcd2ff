package appengine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Reasons that a program may want to know; docs/errors.md has all of them.
const (
	ReasonRequestIDReused = "REQUEST_ID_REUSED"
	ReasonRunState        = "RUN_STATE"
	ReasonTaskExists      = "TASK_EXISTS"
	ReasonUploadTaken     = "UPLOAD_TAKEN"
	// ReasonTLS is of connections that no second try mends: certificates that do not fit, or TLS on
	// one side only.
	ReasonTLS = "TLS"

	reasonETag = "ETAG"
)

// Problem is one thing that is wrong with a request, a value or a descriptor.
type Problem struct {
	// Path says where, such as inputs.threshold or probs[17]; empty where it is the whole.
	Path string
	// Reason is a stable identifier such as NOT_INTEGER.
	Reason string
	// Message is a sentence for people.
	Message string
}

// Error is what came back from a call: the server refused it, or cannot be reached.
//
//	var refused *appengine.Error
//	if errors.As(err, &refused) && refused.Code == codes.NotFound { … }
type Error struct {
	// Code is the gRPC status. Unavailable is also a server that cannot be reached.
	Code codes.Code
	// Reason is a stable identifier such as RUN_STATE; empty where the server gave none.
	Reason string
	// Message is a sentence for people.
	Message string
	// Problems is every problem that the server named.
	Problems []Problem
	// ProblemCount is more than Problems has where not all fitted into the answer.
	ProblemCount int
	// Fields are facts that belong to the reason.
	Fields map[string]string
	// RetryAfter is when to try again, as the server says; 0 where it does not say.
	RetryAfter time.Duration
	// RequestID is to be found in the server's log.
	RequestID string

	cause error // of the caller's own context
}

// Error is the message, with a line for each problem that it does not say itself.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Message)
	for _, problem := range e.Problems {
		if problem.Message != e.Message {
			fmt.Fprintf(&text, "\n  %s: %s", problem.Path, problem.Message)
		}
	}
	if left := e.ProblemCount - len(e.Problems); left > 0 {
		fmt.Fprintf(&text, "\n  … and %d more", left)
	}
	return text.String()
}

// GRPCStatus lets [status.Code] and [status.FromError] read the error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// Unwrap gives context.Canceled or context.DeadlineExceeded where the caller's context has ended.
func (e *Error) Unwrap() error { return e.cause }

// endedBy tells what became of the caller's context, if that is why a call ended.
func endedBy(ctx context.Context, err error) error {
	var refusal *Error
	if ended := ctx.Err(); ended != nil && errors.As(err, &refusal) {
		refusal.cause = ended
	}
	return err
}

// TransferError says that the other side sent what a transfer must not hold, or broke a promise of
// the protocol.
type TransferError struct {
	Message string

	isCut bool // it arrived damaged or cut: going on from the same place mends it
}

func (e *TransferError) Error() string { return e.Message }

func broken(format string, arguments ...any) *TransferError {
	return &TransferError{Message: fmt.Sprintf(format, arguments...)}
}

func cut(message string) *TransferError { return &TransferError{Message: message, isCut: true} }

// refusal is the error of this package for one of gRPC, with all that the server said; nil for nil.
func (c *Client) refusal(ctx context.Context, err error, requestID string) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	given := status.Convert(err)
	found := &Error{Code: given.Code(), Message: given.Message(), RequestID: requestID}
	if errors.As(context.Cause(ctx), &known) { // a stream on which nothing moved
		return known
	}
	for _, detail := range given.Details() {
		found.add(detail)
	}
	found.ProblemCount = len(found.Problems)
	if more, err := strconv.Atoi(found.Fields["more_problems"]); err == nil {
		found.ProblemCount += more
		delete(found.Fields, "more_problems")
	}
	if len(given.Details()) == 0 {
		found.explain(c.settings.target)
	}
	return found
}

func (e *Error) add(detail any) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		e.Reason, e.Fields = detail.GetReason(), detail.GetMetadata()
	case *errdetails.BadRequest:
		for _, one := range detail.GetFieldViolations() {
			e.Problems = append(e.Problems, Problem{one.GetField(), one.GetReason(), one.GetDescription()})
		}
	case *errdetails.PreconditionFailure:
		for _, one := range detail.GetViolations() {
			e.Problems = append(e.Problems, Problem{one.GetSubject(), one.GetType(), one.GetDescription()})
		}
	case *errdetails.RetryInfo:
		e.RetryAfter = detail.GetRetryDelay().AsDuration()
	}
}

// explain says what to do where gRPC speaks and not the server.
func (e *Error) explain(target string) {
	switch {
	case e.Code == codes.Unavailable && isTLSMistake(e.Message):
		e.Reason = ReasonTLS
		e.Message = fmt.Sprintf(
			"the server %s and this client do not agree on TLS (%s): use https://%[1]s where it speaks TLS, "+
				"the CAFile of the authority that signed its certificate, and the name that it is for",
			target, e.Message)
	case e.Code == codes.Unavailable:
		e.Message = fmt.Sprintf(
			"the server %s cannot be reached: %s. See whether it runs, and whether this is its address",
			target, e.Message)
	case e.Code == codes.DeadlineExceeded:
		e.Message = fmt.Sprintf("the server %s did not answer in time", target)
	case e.Code == codes.Unimplemented:
		e.Message = fmt.Sprintf("the server %s does not offer this: %s", target, e.Message)
	}
}

func isTLSMistake(message string) bool {
	return strings.Contains(message, "x509: ") || strings.Contains(message, "tls: ")
}
