package jinja

// Statements.
type (
	stmt interface{}

	textStmt   struct{ text string }
	outputStmt struct {
		line int
		x    expr
	}
	ifStmt struct {
		line     int
		cond     expr
		yes, alt []stmt
	}
	forStmt struct {
		line      int
		target    []string
		in        expr
		filter    expr // nil = none
		recursive bool
		body, alt []stmt
	}
	setStmt struct {
		line    int
		targets []setTarget
		value   expr
		body    []stmt // {% set x %}…{% endset %}, when value is nil
		filters []filterCall
	}
	macroStmt struct {
		line     int
		name     string
		params   []string
		defaults []expr // nil = none; as long as params
		body     []stmt
	}
	callStmt struct { // {% call m(x) %}…{% endcall %}
		line  int
		call  *callExpr
		macro *macroStmt // the body, as caller()
	}
	filterStmt struct {
		line    int
		filters []filterCall
		body    []stmt
	}
	withStmt struct {
		line   int
		names  []string
		values []expr
		body   []stmt
	}
	doStmt struct {
		line int
		x    expr
	}
	loopCtl struct{ brk bool }
)

// setTarget is a name, or an attribute of a namespace.
type setTarget struct{ name, attr string }

// Expressions. Each knows its line through the statement it is in; those that can
// fail in a way worth pointing at carry their own.
type (
	expr interface{}

	litExpr  struct{ v value }
	nameExpr struct {
		line int
		name string
	}
	listExpr struct {
		items []expr
		tuple bool
	}
	dictExpr struct{ keys, values []expr }
	attrExpr struct {
		line int
		x    expr
		name string
	}
	indexExpr struct {
		line int
		x, i expr
	}
	sliceExpr struct {
		line           int
		x              expr
		from, to, step expr // nil = absent
	}
	callExpr struct {
		line int
		f    expr
		args callArgs
	}
	filterExpr struct {
		x expr
		f filterCall
	}
	testExpr struct {
		line int
		x    expr
		name string
		args []expr
		neg  bool
	}
	notExpr  struct{ x expr }
	signExpr struct {
		line int
		x    expr
		neg  bool
	}
	binExpr struct {
		line int
		op   string
		l, r expr
	}
	logicExpr struct {
		and  bool
		l, r expr
	}
	compareExpr struct {
		line  int
		first expr
		ops   []string
		rest  []expr
	}
	condExpr struct{ cond, yes, no expr } // no may be nil
)

type callArgs struct {
	pos   []expr
	names []string // keyword arguments
	kw    []expr
}

type filterCall struct {
	line int
	name string
	args callArgs
}
