package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/unihook/unihook/gateway"
)

// awayCodes are a server's words for "not here, not now": a primary that steps down or stops, a majority that does not
// acknowledge, a disk that is full.
var awayCodes = []int{
	64,    // WriteConcernFailed
	50,    // MaxTimeMSExpired
	89,    // NetworkTimeout
	91,    // ShutdownInProgress
	100,   // UnsatisfiableWriteConcern
	189,   // PrimarySteppedDown
	262,   // ExceededTimeLimit
	10107, // NotWritablePrimary
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	13435, // NotPrimaryNoSecondaryOk
	13436, // NotPrimaryOrSecondary
	14031, // OutOfDiskSpace
}

// translate gives an error of the driver its name in the contract.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mongo.ErrNoDocuments):
		return gateway.ErrNotFound
	case errors.Is(err, gateway.ErrAway):
		return err
	case away(err):
		return fmt.Errorf("%w: %w", gateway.ErrAway, err)
	case mongo.IsDuplicateKeyError(err):
		return fmt.Errorf("%w: %w", gateway.ErrTaken, err)
	}
	return err
}

func away(err error) bool {
	if mongo.IsTimeout(err) || mongo.IsNetworkError(err) || errors.Is(err, mongo.ErrClientDisconnected) ||
		errors.Is(err, context.Canceled) {
		return true
	}
	var selection topology.ServerSelectionError
	var connection topology.ConnectionError
	var pool driver.RetryablePoolError // a connection pool that was cleared because another call failed
	if errors.As(err, &selection) || errors.As(err, &connection) || errors.As(err, &pool) {
		return true
	}
	// A write that the majority has not acknowledged may be rolled back.
	var bulk mongo.BulkWriteException
	var write mongo.WriteException
	if errors.As(err, &bulk) && bulk.WriteConcernError != nil || errors.As(err, &write) && write.WriteConcernError != nil {
		return true
	}
	var server mongo.ServerError
	return errors.As(err, &server) && slices.ContainsFunc(awayCodes, server.HasErrorCode)
}

// duplicates is which of the documents of an unordered insert were there already; err is any other error.
func duplicates(err error) (at []int, other error) {
	var bulk mongo.BulkWriteException
	if err == nil || away(err) || !errors.As(err, &bulk) {
		return nil, translate(err)
	}
	for _, w := range bulk.WriteErrors {
		if !mongo.IsDuplicateKeyError(w) {
			return nil, translate(err)
		}
		at = append(at, w.Index)
	}
	return at, nil
}

// taken tells whether err is a document that is there already.
func taken(err error) bool { return errors.Is(err, gateway.ErrTaken) }
