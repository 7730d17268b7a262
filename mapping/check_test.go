package mapping_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/unihook/unihook/mapping"
)

func TestCheckJSON_Position(t *testing.T) {
	cases := []struct{ text, want string }{
		{"", "not valid JSON at line 1, column 1: the text ends where a value belongs"},
		{"{\"é\":1,\n  \"b\":tru}", "not valid JSON at line 2, column 7: neither true, false nor null"},
		{`{"é":01}`, "not valid JSON at line 1, column 7: '1' stands where a comma or } belongs"},
		{`[1,]`, "not valid JSON at line 1, column 4: ']' stands where a value belongs"},
		{`{"a":1,}`, "not valid JSON at line 1, column 8: '}' stands where a key in quotation marks belongs"},
		{`{"a" 1}`, "not valid JSON at line 1, column 6: '1' stands where a colon belongs"},
		{`{]`, "not valid JSON at line 1, column 2: ']' stands where a key or } belongs"},
		{`[}`, "not valid JSON at line 1, column 2: '}' stands where a value or ] belongs"},
		{`[1}`, "not valid JSON at line 1, column 3: '}' stands where a comma or ] belongs"},
		{`{} {}`, "not valid JSON at line 1, column 4: '{' stands where the end belongs"},
		{`[1`, "not valid JSON at line 1, column 3: the text ends where a comma or a closing bracket belongs"},
		{`"abc`, "not valid JSON at line 1, column 5: the text ends inside a string"},
		{`"\x"`, "not valid JSON at line 1, column 3: 'x' stands where a character that a backslash may escape belongs"},
		{`"\u12g4"`, "not valid JSON at line 1, column 6: 'g' stands where a hexadecimal digit belongs"},
		{"\"a\tb\"", "not valid JSON at line 1, column 3: the control character U+0009 must be escaped in a string"},
		{"\"a\xff\"", "not valid JSON at line 1, column 3: not valid UTF-8"},
		{"\xEF\xBB\xBF{}", "not valid JSON at line 1, column 1: a byte order mark is not JSON"},
		{"1.", "not valid JSON at line 1, column 3: the text ends where a digit belongs"},
		{"-", "not valid JSON at line 1, column 2: the text ends where a digit belongs"},
		{"1e+", "not valid JSON at line 1, column 4: the text ends where a digit belongs"},
		{"[[[[]]]]", "nested too deeply at line 1, column 4: more than 3 levels"},
	}
	for _, c := range cases {
		err := mapping.CheckJSON([]byte(c.text), 3)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q\ngot  %v\nwant %s", c.text, err, c.want)
		}
		var at *mapping.JSONError
		if !errors.As(err, &at) || at.Offset > len(c.text) {
			t.Errorf("%q: got %#v, want a JSONError inside the text", c.text, err)
		}
	}
}

func TestCheckJSON_AnyDepth(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1024, 1088, 1089, 5000, 100_000} {
		text := strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("}]", n/2)
		if err := mapping.CheckJSON([]byte(text), n); err != nil {
			t.Errorf("%d levels: %v", n, err)
		}
		if err := mapping.CheckJSON([]byte(text), n/2*2-1); n > 1 && !errors.Is(err, mapping.ErrTooDeep) {
			t.Errorf("%d levels, one too many: got %v", n, err)
		}
		swapped := strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("]}", n/2)
		if err := mapping.CheckJSON([]byte(swapped), n); n > 1 && !errors.Is(err, mapping.ErrInvalidJSON) {
			t.Errorf("%d levels closed in the wrong order: got %v", n, err)
		}
	}
	if err := mapping.CheckJSON([]byte("1"), 0); err != nil {
		t.Errorf("a scalar has no level: %v", err)
	}
}

func TestLookup(t *testing.T) {
	text := []byte(` { "a" : 1 , "o" : { "\u0062" : [ 1, "}" ] , "x" : null } , "a" : "last" } `)
	cases := []struct {
		keys []string
		want string
		ok   bool
	}{
		{[]string{"a"}, `"last"`, true},
		{[]string{"o", "b"}, `[ 1, "}" ]`, true},
		{[]string{"o", "x"}, "null", true},
		{[]string{"o", "x", "y"}, "", false},
		{[]string{"o", "b", "0"}, "", false},
		{[]string{"zz"}, "", false},
		{nil, strings.TrimSpace(string(text)), true},
	}
	for _, c := range cases {
		got, ok := mapping.Lookup(text, c.keys...)
		if string(got) != c.want || ok != c.ok {
			t.Errorf("%q: got %q, %v, want %q, %v", c.keys, got, ok, c.want, c.ok)
		}
	}
	if got := mapping.Compact([]byte("x"), text); string(got) != `x{"a":1,"o":{"\u0062":[1,"}"],"x":null},"a":"last"}` {
		t.Errorf("Compact: got %s", got)
	}
}
