"""The vocabulary, settings, errors and small tools that everything else stands on."""
