"""Any n-gram of any length, counted exactly: suffix arrays over stores of tokenized documents."""
