package storetest

// ferretPatches are the lines of FerretDB that are changed for tests.
var ferretPatches = []struct{ file, before, after string }{
	// It reads whole collections for everything but one document by its _id, and for that too: the expression of the index
	// is another.
	{"internal/backends/sqlite/metadata/metadata.go", `->'$._id'"`, `->'_id'"`},
	{"internal/backends/sqlite/collection.go", "	q += whereClause\n	q += prepareOrderBy", "	whereClause, args = narrow(params.Filter)\n	q += whereClause\n	q += prepareOrderBy"},
	// Each update of one command keeps its connection to the file until the command ends: it hangs when a bulk is larger
	// than the pool.
	{
		"internal/handler/msg_update.go",
		`result, err := common.UpdateDocument(ctx, c, "update", iter, &u)`,
		`result, err := common.UpdateDocument(ctx, c, "update", iter, &u); closer.Close()`,
	},
}

// ferretNarrow has FerretDB look into its indexes, as servers for production do.
const (
	ferretNarrowFile = "internal/backends/sqlite/narrow.go"
	ferretNarrow     = `package sqlite

import (
	"strings"

	"github.com/FerretDB/FerretDB/internal/backends/sqlite/metadata"
	"github.com/FerretDB/FerretDB/internal/handler/sjson"
	"github.com/FerretDB/FerretDB/internal/types"
	"github.com/FerretDB/FerretDB/internal/util/must"
)

// narrow is as much of a filter as SQL can say. What it finds is filtered in any case, so that it may find too much,
// but never too little: no field that the store filters by is an array.
func narrow(filter *types.Document) (where string, args []any) {
	if filter.Len() == 0 {
		return "", nil
	}
	var conditions []string
	for _, key := range filter.Keys() {
		if strings.ContainsAny(key, "$.'") {
			continue
		}
		column := metadata.DefaultColumn + "->'" + key + "'"
		switch value := must.NotFail(filter.Get(key)).(type) {
		case string, types.ObjectID:
			conditions, args = append(conditions, column+" = ?"), append(args, text(value))
		case *types.Document:
			condition, list := narrowField(column, value)
			if condition != "" {
				conditions, args = append(conditions, condition), append(args, list...)
			}
		}
	}
	if conditions == nil {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// narrowField is the values of $in where these are strings. Of what must be less or more it says that it is there,
// in words that an index answers.
func narrowField(column string, operators *types.Document) (condition string, args []any) {
	for _, operator := range operators.Keys() {
		switch value := must.NotFail(operators.Get(operator)).(type) {
		case *types.Array:
			if operator != "$in" || value.Len() == 0 {
				continue
			}
			for i := range value.Len() {
				s, ok := must.NotFail(value.Get(i)).(string)
				if !ok {
					return "", nil
				}
				args = append(args, text(s))
			}
			return column + " IN (?" + strings.Repeat(", ?", len(args)-1) + ")", args
		default:
			switch operator {
			case "$gt", "$gte", "$lt", "$lte":
				condition = column + " > ''"
			}
		}
	}
	return condition, nil
}

func text(value any) string { return string(must.NotFail(sjson.MarshalSingleValue(value))) }
`
)

// ferretMain is FerretDB as its own library runs it, behind a gate that lets one writing command through at a time.
// FerretDB reads a document and writes it back in two steps; servers for production change one document as a whole, and
// the store counts on that.
const ferretMain = `package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

var gate sync.Mutex

func main() {
	addr, dir := os.Args[1], os.Args[2]
	socket := filepath.Join(dir, "socket")
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/?_pragma=synchronous(off)",
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	go func() {
		_ = f.Run(context.Background())
	}()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(client, socket)
	}
}

func serve(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		request, err := message(client)
		if err != nil {
			return
		}
		answer, err := ask(server, request)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func ask(server net.Conn, request []byte) ([]byte, error) {
	if writes(request) {
		gate.Lock()
		defer gate.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return message(server)
}

// writes tells whether a message is a command that writes: an OP_MSG whose body's first key says so. Behind the
// header of 16 bytes are 4 of flags, 1 of the section's kind, 4 of the body's length and 1 of the value's type.
func writes(request []byte) bool {
	const opMsg, key = 2013, 26
	if len(request) <= key || binary.LittleEndian.Uint32(request[12:]) != opMsg {
		return false
	}
	name, _, _ := bytes.Cut(request[key:], []byte{0})
	switch string(name) {
	case "insert", "update", "delete", "findAndModify":
		return true
	}
	return false
}

// message reads one message, which begins with its own length.
func message(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	if n < 16 || n > 64<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	all := make([]byte, n)
	copy(all, head)
	_, err := io.ReadFull(r, all[4:])
	return all, err
}
`
