"""The vocabulary, errors and small tools that everything else stands on."""
