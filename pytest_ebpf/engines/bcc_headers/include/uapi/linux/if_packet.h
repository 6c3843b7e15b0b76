/* BCC includes this; there is nothing in it that a program would miss. */
