/*
 * start.js - where the page begins: hands the document and the socket library to the controller.
 */
import { io } from 'socket.io-client';
import { MainController } from './main.js';

new MainController({ el: document.getElementById('page'), io }).start();
