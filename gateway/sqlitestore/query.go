package sqlitestore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/unihook/unihook/gateway"
)

// row is what a scan function reads: one row of an answer.
type row interface{ Scan(dest ...any) error }

// read answers a query from the pool of readers. Statements are prepared once per connection and kept: the number of
// their texts is bounded, since lists of values go in as JSON.
func read[T any](ctx context.Context, s *Store, scan func(row) (T, error), query string, args ...any) (list []T, err error) {
	statement, err := s.statement(ctx, query)
	if err != nil {
		return nil, translate(err)
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		value, err := scan(rows)
		if err != nil {
			return nil, translate(err)
		}
		list = append(list, value)
	}
	return list, translate(rows.Err())
}

// readOne is the first row of read's answer, or ErrNotFound.
func readOne[T any](ctx context.Context, s *Store, scan func(row) (T, error), query string, args ...any) (value T, err error) {
	list, err := read(ctx, s, scan, query, args...)
	if err != nil {
		return value, err
	}
	if len(list) == 0 {
		return value, gateway.ErrNotFound
	}
	return list[0], nil
}

func (s *Store) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, ok := s.statements.Load(query); ok {
		return statement.(*sql.Stmt), nil
	}
	statement, err := s.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.60q: %w", query, err)
	}
	if first, taken := s.statements.LoadOrStore(query, statement); taken {
		statement.Close()
		return first.(*sql.Stmt), nil
	}
	return statement, nil
}

// where gathers the conditions of a query, which all must hold.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

// text adds column = value where value is not empty.
func (w *where) text(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// window adds the bounds of a time: since is included, until is not, and zero is no bound.
func (w *where) window(column string, since, until gateway.Time) {
	if since != 0 {
		w.add(column+" >= ?", int64(since))
	}
	if until != 0 {
		w.add(column+" < ?", int64(until))
	}
}

// nobody is an organisation that does not exist: ids have no slash.
const nobody = "/"

// scope keeps out what the scope may not see. The zero scope sees nothing, not even what belongs to no organisation.
func (w *where) scope(scope gateway.Scope) {
	if organisation, one := scope.Organisation(); one {
		w.add("organisation = ?", cmp.Or(organisation, nobody))
	}
}

// String is the clause, with a space before it, or nothing.
func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// cut takes a list that was read with one row more than the page's limit, and answers the page and its mark.
func cut[T any](list []T, page gateway.Page, mark func(T) string) ([]T, string) {
	if len(list) <= page.Limit {
		return list, ""
	}
	list = list[:page.Limit]
	return list, mark(list[len(list)-1])
}

// timeMark is the mark of lists that go by a time and then by a text.
func timeMark(at gateway.Time, text string) string {
	return strconv.FormatInt(int64(at), 10) + "/" + text
}

// after adds the condition that a row of a list, newest first by those two columns, comes after the mark.
func (w *where) after(mark, at, text string) error {
	if mark == "" {
		return nil
	}
	first, second, ok := strings.Cut(mark, "/")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil {
		return badMark(mark)
	}
	w.add("("+at+", "+text+") < (?, ?)", n, second)
	return nil
}

// encode is the JSON form of v as it stands in a column: no byte of a raw value is escaped.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encoding a record: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decoding a record: %w", err)
	}
	return nil
}

// texts is a list of texts as json_each reads it.
func texts[T ~string](list []T) string {
	if len(list) == 0 {
		return "[]" // nil is null, which json_each reads as one row
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic("sqlitestore: a list of texts has no JSON form: " + err.Error())
	}
	return string(b)
}

// orNull keeps zero values out of partial indexes.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	switch v := any(v).(type) {
	case gateway.Time:
		return int64(v)
	default:
		return v
	}
}

// flag is a boolean as a column holds it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func badMark(mark string) error { return fmt.Errorf("%q is no mark of this list", mark) }
